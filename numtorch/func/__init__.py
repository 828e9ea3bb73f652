"""torch.func: transformations of functions (grad, vjp, jvp, vmap, jacrev, jacfwd, hessian …). They nest."""
from .derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from .stateless import functional_call, replace_all_batch_norm_modules_, stack_module_state
from .vectorize import debug_unwrap, vmap

__all__ = ["debug_unwrap", "functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp",
           "linearize", "replace_all_batch_norm_modules_", "stack_module_state", "vjp", "vmap"]
