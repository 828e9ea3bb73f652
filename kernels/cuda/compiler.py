"""From a kernel's Python text to a cubin, with numba-cuda and NVIDIA's linker. Needs no GPU and no driver.

    code, entry, report = compile(kernel, ("int64", "int64", "*float32", "*float32"), cc=(9, 0))

Behind this one function stands numba-cuda, which only this file imports, when it is first called: Python text
→ NVVM IR → LTO-IR (libNVVM) → cubin (nvJitLink). Arrays become bare pointers, so an index costs no wrap-round
test. The extra `cuda` (pip install "numtorch[cuda]") brings all of it, NVIDIA's libraries included."""
from __future__ import annotations

import re
import threading
import time
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .. import jit

# sm_90a (wgmma, setmaxnreg) is Hopper alone; a cubin runs on no other generation anyway.
ACCELERATED: dict[tuple, tuple] = {(9, 0): (9, 0, "a")}
_lock = threading.RLock()


class Report(NamedTuple):
    """What ptxas says of a kernel: registers, bytes of stack and spills of a thread, of shared memory of
    a block; and how many seconds the two stages took."""
    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    shared: int
    front_seconds: float
    link_seconds: float


class CompileError(RuntimeError):
    """A kernel that does not compile for CUDA: a defect of numtorch, with the kernel's name and types."""


class _Toolchain:
    """The imported parts of numba-cuda and cuda.core."""

    def __init__(self) -> None:
        try:
            import numba.cuda as cuda
            from cuda.core import Linker, LinkerOptions, ObjectCode
            from numba.cuda import compiler, dispatcher
        except ImportError as e:
            raise ImportError("CUDA kernels need numba-cuda and cuda-core: pip install 'numtorch[cuda]' "
                              f"({e})") from e
        self.cuda, self.compiler = cuda, compiler
        self.Linker, self.LinkerOptions, self.ObjectCode = Linker, LinkerOptions, ObjectCode
        # Typing a device function asks the current device for its architecture; with no driver, this answers.
        self.device = types.SimpleNamespace(compute_capability=(9, 0))
        dispatcher.get_current_device = lambda: self.device
        self.intrinsics = _intrinsics()
        _bool_pointers()

    def type_of(self, code: str) -> Any:
        """The Numba type of a code: '*float32' a pointer, 'float32[]' a 1-d array, 'int64' a number."""
        from numba import types as nt
        name = code.strip("*[]")
        element = getattr(nt, {"bool": "boolean"}.get(name, name))
        if code.endswith("[]"):
            return nt.Array(element, 1, "C")
        return nt.CPointer(element) if code[0] == "*" else element


_toolchain: _Toolchain | None = None


def toolchain() -> _Toolchain:
    """numba-cuda and cuda.core, imported once. ImportError, naming the extra, where they are missing."""
    global _toolchain
    with _lock:
        if _toolchain is None:
            _toolchain = _Toolchain()
        return _toolchain


def available() -> bool:
    """Whether numba-cuda and cuda.core are installed (NVIDIA's libraries are found at first use)."""
    from importlib.util import find_spec
    return all(find_spec(package) is not None for package in ("numba_cuda", "cuda", "cuda.core"))


def _bool_pointers() -> None:
    """Teach numba-cuda that a bool is one bit in a register and a byte in memory also behind a pointer."""
    import operator

    from numba import types as nt
    from numba.cuda.extending import lower_builtin  # type: ignore[attr-defined]

    pointer = nt.CPointer(nt.boolean)

    @lower_builtin(operator.getitem, pointer, nt.Integer)
    def load(context, b, signature, args):
        return context.unpack_value(b, nt.boolean, b.gep(args[0], [args[1]]))

    @lower_builtin(operator.setitem, pointer, nt.Integer, nt.boolean)
    def store(context, b, signature, args):
        context.pack_value(b, nt.boolean, args[2], b.gep(args[0], [args[1]]))
        return context.get_dummy_value()


def _intrinsics() -> dict[str, Any]:
    """The compiled forms of jit.py's intrinsics: libdevice calls, moves of bits and PTX conversions."""
    from llvmlite import ir
    from numba import types as nt
    from numba.cuda.extending import intrinsic

    single, double = ir.FloatType(), ir.DoubleType()
    i16, i32, i64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
    lltype = {nt.float32: single, nt.float64: double, nt.int32: i32, nt.int64: i64}
    int_of = {nt.float32: nt.int32, nt.float64: nt.int64}
    float_of = {i: f for f, i in int_of.items()}

    def moved(table):
        @intrinsic
        def move(context, x):
            if x not in table:
                return None
            return table[x](x), lambda c, b, s, a: b.bitcast(a[0], lltype[s.return_type])
        return move

    def libdevice(name, arguments):
        def build(context, b, s, a):
            t = lltype[s.return_type]
            symbol = f"__nv_{name}" + ("f" if t is single else "")
            f = b.module.globals.get(symbol)
            if f is None:
                f = ir.Function(b.module, ir.FunctionType(t, [t] * arguments), symbol)
            return b.call(f, a)
        if arguments == 1:
            @intrinsic
            def call(context, x):
                return (x(x), build) if x in int_of else None
        else:
            @intrinsic
            def call(context, x, y, z):
                return (x(x, x, x), build) if x in int_of else None
        return call

    def assembled(text, constraint, result, argument):
        kinds = {nt.float32: single, nt.uint16: i16}

        @intrinsic
        def convert(context, x):
            def build(c, b, s, a):
                return b.asm(ir.FunctionType(kinds[result], [kinds[argument]]), text, constraint, a, False)
            return result(argument), build
        return convert

    @intrinsic
    def bf16_load(context, u):
        def build(c, b, s, a):
            return b.bitcast(b.shl(b.zext(a[0], i32), ir.Constant(i32, 16)), single)
        return nt.float32(nt.uint16), build

    return dict(bits=moved(int_of), from_bits=moved(float_of), fma=libdevice("fma", 3),
                rint=libdevice("rint", 1), floor=libdevice("floor", 1), ceil=libdevice("ceil", 1),
                trunc=libdevice("trunc", 1), bf16_load=bf16_load,
                bf16_store=assembled("cvt.rn.bf16.f32 $0, $1;", "=h,f", nt.uint16, nt.float32),
                f16_load=assembled("cvt.f32.f16 $0, $1;", "=f,h", nt.float32, nt.uint16),
                f16_store=assembled("cvt.rn.f16.f32 $0, $1;", "=h,f", nt.uint16, nt.float32))


def _bind(function: Callable, tools: _Toolchain, made: dict) -> Callable:
    """`function` with `cuda`, the intrinsics and device functions it names bound to numba-cuda's."""
    scope: dict[str, Any] = {"__builtins__": function.__globals__.get("__builtins__"), "__name__": "kernel"}
    for name in _names(function.__code__):
        value = tools.cuda if name == "cuda" else function.__globals__.get(name)
        if value is None:
            continue
        if isinstance(value, jit.Intrinsic):
            value = tools.intrinsics[value.__name__]
        elif isinstance(value, (jit.Device, types.FunctionType)):
            plain = value.fn if isinstance(value, jit.Device) else value
            if plain not in made:
                made[plain] = tools.cuda.jit(_bind(plain, tools, made), device=True)
            value = made[plain]
        scope[name] = value
    if function.__closure__:
        raise CompileError(f"the kernel {function.__name__!r} closes over {function.__code__.co_freevars}; "
                           "a CUDA kernel may use globals only")
    return types.FunctionType(function.__code__, scope, function.__name__)


def _names(code: types.CodeType) -> set[str]:
    return set(code.co_names).union(*(_names(c) for c in code.co_consts if isinstance(c, types.CodeType)))


def entry_name(function: Callable, signature: Sequence[str]) -> str:
    """The kernel's symbol in the cubin: its name and argument types."""
    return re.sub(r"\W", "_", "_".join([function.__name__, *(c.replace("*", "p") for c in signature)]))


def compile(function: Callable, signature: Sequence[str], cc: tuple[int, int] = (9, 0), *,
            output: str = "cubin", name: str | None = None,
            max_registers: int | None = None) -> tuple[bytes, str, Report]:
    """(cubin, entry name, report) of the kernel `function` for the compute capability `cc`.

    signature: one code per argument: '*float32' a pointer, 'float32[]' a 1-d array (for `cuda.atomic`),
    'int64', 'float64', 'float32'. output='ptx' gives PTX text and a report of zeros. Raises
    CompileError for a kernel outside Numba's Python; ImportError where the extra `cuda` is not installed."""
    function = getattr(function, "fn", function)
    entry = name or entry_name(function, signature)
    with _lock:
        tools = toolchain()
        target = ACCELERATED.get(tuple(cc), tuple(cc))
        tools.device.compute_capability = tuple(cc)
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")                 # of low occupancy: no launch is known here
                types_ = tools.type_of("void")(*map(tools.type_of, signature))
                parts, _ = tools.compiler.compile_all(
                    _bind(function, tools, {}), types_, device=False, abi="numba", cc=target, output="ltoir",
                    abi_info={"abi_name": entry})
        except CompileError:
            raise
        except Exception as e:
            lines = [line for line in str(e).strip().splitlines() if line.strip()] or [type(e).__name__]
            raise CompileError(f"the kernel {function.__name__!r} does not compile for CUDA with "
                               f"({', '.join(signature)}): {' '.join(lines[:2])}") from e
        middle = time.perf_counter()
        objects = [p if isinstance(p, tools.ObjectCode) else tools.ObjectCode.from_ltoir(p) for p in parts]
        options = dict(arch="sm_" + "".join(map(str, target)), link_time_optimization=True,
                       max_register_count=max_registers)
        options |= {"ptx": True} if output == "ptx" else {"ptxas_options": ["-v"]}
        linker = tools.Linker(*objects, options=tools.LinkerOptions(**options))
        code = linker.link(output).code
        log = "" if output == "ptx" else linker.get_info_log()
    return bytes(code), entry, _report(log, middle - start, time.perf_counter() - middle)


def _report(log: str, front: float, link: float) -> Report:
    def number(pattern: str) -> int:
        found = re.search(pattern, log)
        return int(found[1]) if found else 0
    return Report(number(r"Used (\d+) registers"), number(r"(\d+) bytes stack frame"),
                  number(r"(\d+) bytes spill stores"), number(r"(\d+) bytes spill loads"),
                  number(r"(\d+) bytes smem"), front, link)


def double_instructions(ptx: bytes | str) -> list[str]:
    """The float64 instructions of a PTX text, moves and loads of parameters apart. A float32 map has none."""
    text = ptx.decode() if isinstance(ptx, bytes) else ptx
    return re.findall(r"^\s+((?!ld\.param|mov\.)[a-z][\w.]*\.f64[\w.]*)\s", text, re.M)
