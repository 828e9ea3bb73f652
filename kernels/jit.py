"""From a kernel to a native function, cached on disk by content. The only module that imports numba.

A kernel is a plain function `k(lo, hi, *arrays, *ints, *floats)` of flat arrays that does the independent
work items `lo … hi-1`. Its LLVM IR comes from device.py (hand-written ones) or llvm.py (loop nests), and
where these have no form for it from numba; LLVM optimises it, and an entry point written here, in LLVM IR,
reads the data pointers straight from the ndarray objects: a call costs about 60 ns where a numba dispatcher
costs 300. The object code is kept under its content hash.

Environment: NUMTORCH_CACHE=DIR moves the cache, `off` disables it. NUMBA_DISABLE_JIT=1 runs the text as
Python. NUMBA_BOUNDSCHECK=1 compiles with checked arrays instead of pointers."""
from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import stat
import struct
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

float32, float64 = np.float32, np.float64
int8, int16, int32, int64 = np.int8, np.int16, np.int32, np.int64
uint8, uint16, uint32, uint64 = np.uint8, np.uint16, np.uint32, np.uint64

# Of hand-written kernels; emitted ones have none, so that their bits do not depend on what is fused. NaN and
# inf keep their meaning; sums may be reassociated and products contracted to fma. Not `arcp`: with it
# LLVM takes the reciprocal square root estimate in vector loops and not in scalar ones, so bits would depend
# on the layout.
FAST_MATH = ("contract", "nsz", "reassoc")

DISABLED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
CHECKED = os.environ.get("NUMBA_BOUNDSCHECK", "0") not in ("", "0")
DEBUG = int(os.environ.get("NUMTORCH_DEBUG", "0") or 0)


class Device:
    """A function that kernels call; compiled into them."""

    def __init__(self, fn: Callable):
        self.fn, self.__name__, self.__doc__ = fn, fn.__name__, fn.__doc__

    def __call__(self, *args):
        return self.fn(*args)


def device(fn: Callable) -> Device:
    """Mark a plain function as callable from kernels."""
    return Device(fn)


class Intrinsic:
    """An operation that is one LLVM instruction sequence when compiled and `fn` in plain Python."""

    def __init__(self, name: str, fn: Callable):
        self.__name__, self.fn = name, fn

    def __call__(self, *args):
        return self.fn(*args)


# ------------------------------------------------------------------------------------------------ intrinsics
_INT_OF = {np.dtype("f4"): np.int32, np.dtype("f8"): np.int64}
_FLOAT_OF = {np.dtype("i4"): np.float32, np.dtype("i8"): np.float64}


def _bits(x):
    x = np.asarray(x)
    return x.view(_INT_OF[x.dtype])[()]


def _from_bits(i):
    i = np.asarray(i)
    return i.view(_FLOAT_OF[i.dtype])[()]


def _fma(a, b, c):
    from .scalar import fma as exact
    return exact(a, b, c)


def _bf16_load(u):
    return np.uint32(int(u) << 16).view(np.float32)


def _bf16_store(x):
    x = np.float32(x)
    u = int(x.view(np.uint32))
    if x != x:
        return np.uint16((u >> 16) | 0x40)
    return np.uint16(((u + 0x7FFF + ((u >> 16) & 1)) >> 16) & 0xFFFF)


bits = Intrinsic("bits", _bits)
from_bits = Intrinsic("from_bits", _from_bits)
fma = Intrinsic("fma", _fma)
fmod = Intrinsic("fmod", np.fmod)
# Elements of a lane array: a fold keeps its accumulators side by side (element i in lane i mod LANES).
# 64 float32 are four AVX-512 registers: enough independent additions to hide the latency of one.
LANES = 64
# LANES accumulators of the type of the start value, on the stack (emit.py)
lanes = Intrinsic("lanes", lambda first: np.full(LANES, first))
rint = Intrinsic("rint", lambda x: np.rint(x))
floor = Intrinsic("floor", lambda x: np.floor(x))
ceil = Intrinsic("ceil", lambda x: np.ceil(x))
trunc = Intrinsic("trunc", lambda x: np.trunc(x))
# a float as int64; out of range it is the CPU's answer (x86: the lowest number), the same in every loop
whole = Intrinsic("whole", lambda x: np.asarray(x).astype(np.int64)[()])
bf16_load = Intrinsic("bf16_load", _bf16_load)
bf16_store = Intrinsic("bf16_store", _bf16_store)
f16_load = Intrinsic("f16_load", lambda u: np.float32(np.uint16(u).view(np.float16)))
f16_store = Intrinsic("f16_store", lambda x: np.float16(x).view(np.uint16))


def _numba_intrinsics() -> dict[str, Any]:
    """The compiled forms of the intrinsics above."""
    from llvmlite import ir
    from numba import types as nt
    from numba.extending import intrinsic

    ints = {nt.float32: nt.int32, nt.float64: nt.int64}
    floats = {nt.int32: nt.float32, nt.int64: nt.float64}
    lltype = {nt.float32: ir.FloatType(), nt.float64: ir.DoubleType()}

    @intrinsic
    def nb_bits(ctx, x):
        if x not in ints:
            return None
        return ints[x](x), lambda c, b, s, a: b.bitcast(a[0], ir.IntType(s.return_type.bitwidth))

    @intrinsic
    def nb_from_bits(ctx, i):
        if i not in floats:
            return None
        return floats[i](i), lambda c, b, s, a: b.bitcast(a[0], lltype[s.return_type])

    @intrinsic
    def nb_fma(ctx, x, y, z):
        if x not in lltype:
            return None
        return x(x, x, x), lambda c, b, s, a: b.fma(*a)

    def rounding(name):
        @intrinsic
        def nb_round(ctx, x):
            if x not in lltype:
                return None
            return x(x), lambda c, b, s, a: b.call(b.module.declare_intrinsic("llvm." + name, [a[0].type]), a)
        return nb_round

    @intrinsic
    def nb_fmod(ctx, x, y):
        if x not in lltype or x != y:
            return None
        return x(x, x), lambda c, b, s, a: b.frem(*a)

    @intrinsic
    def nb_whole(ctx, x):
        if x not in lltype:
            return None

        def build(c, b, s, a):
            i64 = ir.IntType(64)
            value = ir.instructions.Instruction(b.block, i64, "freeze", [b.fptosi(a[0], i64)])
            b._insert(value)
            return value
        return nt.int64(x), build

    @intrinsic
    def nb_lanes(ctx, first):
        memory = nt.uint8 if first == nt.boolean else first

        def build(c, b, s, a):
            kind = c.get_data_type(memory)
            with b.goto_entry_block():
                array = b.alloca(kind, LANES)
                array.align = 64  # a vector of any CPU lies in one cache line
                return array
        return nt.CPointer(memory)(first), build

    @intrinsic
    def nb_bf16_load(ctx, u):
        def build(c, b, s, a):
            w = b.shl(b.zext(a[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
            return b.bitcast(w, ir.FloatType())
        return nt.float32(nt.uint16), build

    @intrinsic
    def nb_bf16_store(ctx, x):
        def build(c, b, s, a):
            i32 = ir.IntType(32)
            k = lambda v: ir.Constant(i32, v)
            u = b.bitcast(a[0], i32)
            odd = b.and_(b.lshr(u, k(16)), k(1))
            near = b.lshr(b.add(b.add(u, k(0x7FFF)), odd), k(16))
            quiet = b.or_(b.lshr(u, k(16)), k(0x40))
            nan = b.fcmp_unordered("uno", a[0], a[0])
            return b.trunc(b.select(nan, quiet, near), ir.IntType(16))
        return nt.uint16(nt.float32), build

    @intrinsic
    def nb_f16_load(ctx, u):
        return nt.float32(nt.uint16), lambda c, b, s, a: b.fpext(b.bitcast(a[0], ir.HalfType()),
                                                                 ir.FloatType())

    @intrinsic
    def nb_f16_store(ctx, x):
        return nt.uint16(nt.float32), lambda c, b, s, a: b.bitcast(b.fptrunc(a[0], ir.HalfType()),
                                                                   ir.IntType(16))

    return dict(bits=nb_bits, from_bits=nb_from_bits, fma=nb_fma, fmod=nb_fmod, whole=nb_whole,
                lanes=nb_lanes, **{n: rounding(n) for n in ("rint", "floor", "ceil", "trunc")},
                bf16_load=nb_bf16_load, bf16_store=nb_bf16_store, f16_load=nb_f16_load,
                f16_store=nb_f16_store)


_intrinsic_table: dict[str, Any] = {}


# ----------------------------------------------------------------------------------------------- content hash
def _describe(fn: Callable, seen: dict) -> list:
    """What a function computes, without file names or line numbers: code, constants, and what its globals
    mean."""
    code = fn.__code__
    out: list = [code.co_name, code.co_code.hex(), code.co_varnames, _constants(code)]
    for name in dict.fromkeys(_all_names(code)):
        if name in fn.__globals__:
            v = fn.__globals__[name]
            if isinstance(v, Device):
                if v in seen:
                    out.append((name, "device", seen[v]))
                else:
                    seen[v] = len(seen)
                    out.append((name, _describe(v.fn, seen)))
            elif isinstance(v, Intrinsic):
                out.append((name, "intrinsic", v.__name__))
            elif isinstance(v, types.ModuleType | type):
                out.append((name, v.__name__))
            else:
                out.append((name, repr(v)))
        else:
            out.append(name)
    return out


def _constants(code) -> list:
    return [_form(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]


_host: tuple | None = None


def host() -> tuple:
    """CPU name, feature string, library versions and this module's own part: what compiled code depends on
    besides its text."""
    global _host
    if _host is None:
        import llvmlite
        import llvmlite.binding as ll
        _host = (ll.get_host_cpu_name(), ll.get_host_cpu_features().flatten(), llvmlite.__version__,
                 _numba_version(), sys.version_info[:2], _build(), object.__basicsize__)
    return _host


def _form(code) -> list:
    """The bytecode, names and constants of a code object and of those within it."""
    return [code.co_code.hex(), code.co_names, *[_form(c) if isinstance(c, types.CodeType) else repr(c)
                                                 for c in code.co_consts]]


def _build() -> str:
    """A hash of what this module itself puts into a kernel: intrinsics, compiler flags, entry points."""
    made = [_form(f.__code__) for f in (_numba_intrinsics, _bind, _numba_type, llvm_ir, _object_code, entry,
                                     _Engine.optimise, _Engine.vectorise)]
    return hashlib.sha256(repr((made, _HEAD, FAST_MATH)).encode()).hexdigest()[:12]


def _numba_version() -> str:
    """A name for the installed numba, the same whether it is imported yet or not."""
    import importlib.util
    spec = importlib.util.find_spec("numba")
    if spec is None or spec.origin is None:
        return "none"
    path = os.path.join(os.path.dirname(spec.origin), "_version.py")
    try:
        with open(path) as f:
            text = f.read()
        return hashlib.sha256(text.encode()).hexdigest()[:12]
    except OSError:
        import importlib.metadata
        return importlib.metadata.version("numba")


def content_hash(fn: Callable, signature: tuple[str, ...], strict: bool = False, more: str = "") -> str:
    """The name of a kernel's compiled form: a hash of all that it depends on."""
    parts = _describe(fn, {}), signature, strict, host(), more
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


# ------------------------------------------------------------------------------------------------ disk cache
DAY = 86_400.0  # seconds


class Cache:
    """Object files by content hash in a folder that only this user can write. A damaged, foreign or
    group-writable entry is ignored, never loaded; writes are atomic."""

    limit = 512 << 20  # bytes on disk; beyond, the entries not used for longest go
    TRIM = 64          # writes between looks at the size

    def __init__(self) -> None:
        self.folder: str | None = None
        self._ready = False
        self._writes = 0

    def _open(self) -> str | None:
        if not self._ready:
            self._ready = True
            where = os.environ.get("NUMTORCH_CACHE")
            if where == "off":
                return None
            if not where:
                base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
                where = os.path.join(base, "numtorch")
            try:
                os.makedirs(where, mode=0o700, exist_ok=True)
                if _private(os.lstat(where), stat.S_ISDIR):
                    self.folder = where
                else:
                    import warnings
                    warnings.warn(f"the kernel cache {where!r} is not a folder that only you can write; it "
                                  "is not used (set NUMTORCH_CACHE to another folder)", stacklevel=2)
            except OSError:
                self.folder = None
        return self.folder

    def read(self, key: str) -> bytes | None:
        folder = self._open()
        if folder is None:
            return None
        path = os.path.join(folder, key + ".o")
        try:
            fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            return None
        with os.fdopen(fd, "rb") as f:
            status = os.fstat(f.fileno())
            if not _private(status, stat.S_ISREG):
                return None
            blob = f.read()
        if time.time() - status.st_mtime > DAY:
            with contextlib.suppress(OSError):
                os.utime(path)  # used: the time of change is the time of last use, to a day
        digest, data = blob[:32], blob[32:]
        return data if hashlib.sha256(key.encode() + data).digest() == digest else None

    def write(self, key: str, data: bytes) -> None:
        folder = self._open()
        if folder is None:
            return
        try:
            fd, name = tempfile.mkstemp(dir=folder)
            with os.fdopen(fd, "wb") as f:
                f.write(hashlib.sha256(key.encode() + data).digest() + data)
            os.replace(name, os.path.join(folder, key + ".o"))
            if self._writes % self.TRIM == 0:
                self.trim()
            self._writes += 1
        except OSError:
            self.folder = None  # a full or read-only disk: go on without

    def trim(self) -> None:
        """Delete the entries not used for longest until three quarters of the limit are left, where there is
        more than the limit, and what writers that were killed have left behind."""
        folder = self._open()
        if folder is None:
            return
        found = []
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):  # another process may be deleting too
                status = entry.stat(follow_symlinks=False)
                if entry.name.endswith(".o"):
                    found.append((status.st_mtime, status.st_size, entry.path))
                elif entry.name.startswith("tmp") and time.time() - status.st_mtime > DAY:
                    os.unlink(entry.path)
        total = sum(size for _, size, _ in found)
        if total <= self.limit:
            return
        for _, size, path in sorted(found):
            if total <= self.limit * 3 // 4:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
                total -= size


def _private(st: os.stat_result, kind: Callable[[int], bool]) -> bool:
    mine = not hasattr(os, "getuid") or st.st_uid == os.getuid()
    return mine and kind(st.st_mode) and not st.st_mode & 0o022


cache = Cache()


# ------------------------------------------------------------------------------------------------ compilation
_lock = threading.RLock()


# What LLVM calls for double → half, which no library has everywhere. It asks for that although no kernel
# does: copysign looks through roundings of its second operand. The float between is rounded to odd, so that
# the second rounding gives what one would.
HALF = """
define half @__truncdfhf2(double %x) {
  %near = fptrunc double %x to float
  %back = fpext float %near to double
  %other = fcmp one double %back, %x
  %big = call double @llvm.fabs.f64(double %back)
  %size = call double @llvm.fabs.f64(double %x)
  %over = fcmp ogt double %big, %size
  %less = sext i1 %over to i32
  %bits = bitcast float %near to i32
  %low = add i32 %bits, %less
  %odd = or i32 %low, 1
  %kept = select i1 %other, i32 %odd, i32 %bits
  %float = bitcast i32 %kept to float
  %half = fptrunc float %float to half
  ret half %half
}
declare double @llvm.fabs.f64(double)
"""


class _Engine:
    """One MCJIT engine that holds every loaded kernel."""

    def __init__(self) -> None:
        import llvmlite.binding as ll
        ll.initialize_native_target()
        ll.initialize_native_asmprinter()
        self.ll = ll
        target = ll.Target.from_default_triple()
        self.machine = target.create_target_machine(cpu=ll.get_host_cpu_name(), opt=3, jit=True,
                                                    codemodel="jitdefault",
                                                    features=ll.get_host_cpu_features().flatten())
        self.jit = ll.create_mcjit_compiler(ll.parse_assembly(HALF), self.machine)
        self.methods: list = []
        self.entries: dict[str, list] = {}

    def optimise(self, module: Any) -> None:
        """Values for stack slots, common expressions once. What the printer of llvm.py writes needs no more;
        -O3 would take ten times as long as these passes."""
        ll = self.ll
        builder = ll.create_pass_builder(self.machine, ll.create_pipeline_tuning_options(speed_level=1))
        passes = ll.create_new_module_pass_manager()
        passes.add_global_dead_code_eliminate_pass()
        passes.add_sroa_pass()
        passes.add_new_gvn_pass()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        passes.run(module, builder)

    def vectorise(self, module: Any) -> None:
        """LLVM's standard passes at -O1 with vector code for loops, for kernels written by hand (device.py):
        they run as fast as after -O3, which takes 1.6 times as long."""
        ll = self.ll
        options = ll.create_pipeline_tuning_options(speed_level=1)
        options.loop_vectorization, options.slp_vectorization = True, False
        builder = ll.create_pass_builder(self.machine, options)
        builder.getModulePassManager().run(module, builder)

    def load(self, obj: bytes, name: str, signature: tuple[str, ...]) -> tuple[Callable, Callable]:
        """Link object code and return its two entries: one keeps the GIL, one releases it."""
        self._link(obj, name)
        return self._callable(name + "_call"), self._callable(name + "_free")

    def _link(self, obj: bytes, name: str) -> None:
        self.jit.add_object_file(self.ll.ObjectFileRef.from_data(obj))
        self.jit.finalize_object()
        where = self.jit.get_function_address(name + "_bind")
        ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(where)(id(np.ndarray), id(TypeError), id(KernelError))

    def link_words(self, obj: bytes) -> None:
        """Link kernels that take their arguments as words (llvm.py, device.py)."""
        self.jit.add_object_file(self.ll.ObjectFileRef.from_data(obj))
        self.jit.finalize_object()

    def words(self, name: str, signature: tuple[str, ...]) -> tuple[Callable, Callable]:
        """The two entries of a linked kernel that takes words."""
        codes = "".join(["a" if c[0] == "*" else "i" if c == "int64" else "f" for c in signature])
        spec = struct.pack("<QQ", self.jit.get_function_address(name), len(codes)) + codes.encode()
        self.methods.append(spec)
        return self.taking_words(spec)

    def taking_words(self, spec: bytes, functions: str = "",
                     run: str = "call void %kernel(ptr %to)") -> tuple[Callable, Callable]:
        """The two entries of what a spec says (_WORDS). `run`: what they do, with `functions`, once all words
        are in %to."""
        entries = self.entries.get(run)
        if entries is None:
            entries = self.entries[run] = []
            text = _words("KEY", functions, run)
            key = "w" + hashlib.sha256(repr((text, host())).encode()).hexdigest()[:32]
            code = cache.read(key)
            if code is None:
                module = self.ll.parse_assembly(_words(key, functions, run))
                module.verify()
                code = self.machine.emit_object(module)
                cache.write(key, code)
            self._link(code, key)
            for which in ("call", "free"):
                address = self.jit.get_function_address(f"{key}_{which}")
                entries.append(_MethodDef(f"kernel_{which}".encode(), address, 0x80, None))
        make = ctypes.pythonapi.PyCFunction_NewEx
        call, free = [make(ctypes.byref(m), id(spec), None) for m in entries]
        return call, free

    def _callable(self, name: str) -> Callable:
        address = self.jit.get_function_address(name)
        method = _MethodDef(name.encode(), address, 0x80, None)  # METH_FASTCALL
        self.methods.append(method)
        return ctypes.pythonapi.PyCFunction_NewEx(ctypes.byref(method), None, None)


class _MethodDef(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int),
                ("doc", ctypes.c_char_p)]


ctypes.pythonapi.PyCFunction_NewEx.restype = ctypes.py_object
ctypes.pythonapi.PyCFunction_NewEx.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
_engine: _Engine | None = None


def engine() -> _Engine:
    global _engine
    if _engine is None:
        _engine = _Engine()
    return _engine


_LL_SCALAR = {"int64": "i64", "float64": "double"}
_HEAD = """
declare i64 @PyLong_AsLongLong(ptr)
declare double @PyFloat_AsDouble(ptr)
declare ptr @PyErr_Occurred()
declare ptr @PyErr_Format(ptr, ptr, ...)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
@_Py_NoneStruct = external global i8
@KEY_ndarray = private global ptr null
@KEY_error = private global ptr null
@KEY_failure = private global ptr null
@KEY_count = private constant [27 x i8] c"kernel takes %zd arguments\\00"
@KEY_kind = private constant [39 x i8] c"kernel argument %zd must be an ndarray\\00"
@KEY_stop = private constant [47 x i8] c"a kernel stopped before its end with status %d\\00"

define void @KEY_bind(ptr %ndarray, ptr %error, ptr %failure) {
  store ptr %ndarray, ptr @KEY_ndarray
  store ptr %error, ptr @KEY_error
  store ptr %failure, ptr @KEY_failure
  ret void
}
"""


# The CPython entries of kernels that take their arguments as an array of 64-bit words. `self` is a bytes
# object: the kernel's address, the number of its arguments, and of each one a letter: a pointer to an array's
# memory, an integer or a float.
_WORDS = """
define internal ptr @KEY_read(ptr %self, ptr %args, i64 %n, ptr %to) {
  %count.p = getelementptr i8, ptr %self, i64 COUNT
  %count = load i64, ptr %count.p
  %fits = icmp eq i64 %n, %count
  br i1 %fits, label %head, label %misfit
misfit:
  %te0 = load ptr, ptr @KEY_error
  %e0 = call ptr (ptr, ptr, ...) @PyErr_Format(ptr %te0, ptr @KEY_count, i64 %count)
  ret ptr null
head:
  %i = phi i64 [ 0, %0 ], [ %next, %more ]
  %end = icmp eq i64 %i, %n
  br i1 %end, label %check, label %one
one:
  %o.p = getelementptr ptr, ptr %args, i64 %i
  %o = load ptr, ptr %o.p
  %word = getelementptr i64, ptr %to, i64 %i
  %codes = getelementptr i8, ptr %self, i64 CODES
  %code.p = getelementptr i8, ptr %codes, i64 %i
  %code = load i8, ptr %code.p
  switch i8 %code, label %array [ i8 105, label %integer
                                  i8 102, label %float ]
array:
  %kind.p = getelementptr i8, ptr %o, i64 KIND
  %kind = load ptr, ptr %kind.p
  %ndarray = load ptr, ptr @KEY_ndarray
  %is = icmp eq ptr %kind, %ndarray
  br i1 %is, label %data, label %other
other:
  %te1 = load ptr, ptr @KEY_error
  %e1 = call ptr (ptr, ptr, ...) @PyErr_Format(ptr %te1, ptr @KEY_kind, i64 %i)
  ret ptr null
data:
  %data.p = getelementptr i8, ptr %o, i64 DATA
  %address = load ptr, ptr %data.p
  store ptr %address, ptr %word
  br label %more
integer:
  %whole = call i64 @PyLong_AsLongLong(ptr %o)
  store i64 %whole, ptr %word
  br label %more
float:
  %real = call double @PyFloat_AsDouble(ptr %o)
  store double %real, ptr %word
  br label %more
more:
  %next = add i64 %i, 1
  br label %head
check:
  %error = call ptr @PyErr_Occurred()
  %fine = icmp eq ptr %error, null
  br i1 %fine, label %done, label %failed
failed:
  ret ptr null
done:
  %kernel.p = getelementptr i8, ptr %self, i64 KERNEL
  %kernel = load ptr, ptr %kernel.p
  ret ptr %kernel
}
"""
_WORDS_ENTRY = """
define ptr @KEY_NAME(ptr %self, ptr %args, i64 %n) {
  %to = alloca i64, i64 %n, align 8
  %kernel = call ptr @KEY_read(ptr %self, ptr %args, i64 %n, ptr %to)
  %bad = icmp eq ptr %kernel, null
  br i1 %bad, label %fail, label %run
fail:
  ret ptr null
run:
  RELEASE
  RUN
  TAKE
  REFERENCE
  ret ptr @_Py_NoneStruct
}
"""


def _words(key: str, functions: str, run: str) -> str:
    """LLVM IR of the entries of kernels that take words."""
    start = bytes.__basicsize__ - 1
    # None is immortal from Python 3.12 on
    reference = "" if sys.version_info >= (3, 12) else """%rc = load i64, ptr @_Py_NoneStruct
  %rc1 = add i64 %rc, 1
  store i64 %rc1, ptr @_Py_NoneStruct"""
    text = _HEAD + _WORDS + functions
    for name, release, take in (("call", "", ""), ("free", "%state = call ptr @PyEval_SaveThread()",
                                                   "call void @PyEval_RestoreThread(ptr %state)")):
        text += _WORDS_ENTRY.replace("NAME", name).replace("RELEASE", release).replace("TAKE", take)
    for name, value in (("KERNEL", start), ("COUNT", start + 8), ("CODES", start + 16),
                        ("KIND", object.__basicsize__ - 8), ("DATA", object.__basicsize__),
                        ("REFERENCE", reference), ("RUN", run), ("KEY", key)):
        text = text.replace(name, str(value))
    return text


def entry(key: str, native: str, signature: tuple[str, ...]) -> str:
    """LLVM IR of the two CPython entries (METH_FASTCALL) around the function `native` that numba compiled."""
    n = len(signature)
    text = [_HEAD.replace("KEY", key)]
    for suffix, free in (("call", False), ("free", True)):
        body = [f"define ptr @{key}_{suffix}(ptr %self, ptr %args, i64 %n) {{",
                f"  %ok = icmp eq i64 %n, {n}", "  br i1 %ok, label %a0, label %badcount", "badcount:",
                f"  %te0 = load ptr, ptr @{key}_error",
                f"  %e0 = call ptr (ptr, ptr, ...) @PyErr_Format(ptr %te0, ptr @{key}_count, i64 {n})",
                "  ret ptr null"]
        values, blocks = [], [f"a{i}" for i in range(n)] + ["go"]
        kinds = []
        for i, code in enumerate(signature):
            body += [f"a{i}:", f"  %p{i} = getelementptr ptr, ptr %args, "
                               f"i64 {i}", f"  %o{i} = load ptr, ptr %p{i}"]
            if code[0] == "*":
                body += [f"  %tp{i} = getelementptr i8, ptr %o{i}, i64 {object.__basicsize__ - 8}",
                         f"  %ty{i} = load ptr, ptr %tp{i}", f"  %want{i} = load ptr, ptr @{key}_ndarray",
                         f"  %is{i} = icmp eq ptr %ty{i}, %want{i}",
                         f"  br i1 %is{i}, label %b{i}, label %badkind", f"b{i}:",
                         f"  %dp{i} = getelementptr i8, ptr %o{i}, i64 {object.__basicsize__}",
                         f"  %v{i} = load ptr, ptr %dp{i}"]
                kinds.append(i)
                values.append(f"ptr %v{i}")
            elif code == "int64":
                body.append(f"  %v{i} = call i64 @PyLong_AsLongLong(ptr %o{i})")
                values.append(f"i64 %v{i}")
            elif code == "float64":
                body.append(f"  %v{i} = call double @PyFloat_AsDouble(ptr %o{i})")
                values.append(f"double %v{i}")
            else:
                raise TypeError(f"no entry for a kernel argument of type {code}")
            body.append(f"  br label %{blocks[i + 1]}")
        body += ["go:", "  %bad = call ptr @PyErr_Occurred()", "  %fine = icmp eq ptr %bad, null",
                 "  br i1 %fine, label %run, label %fail", "fail:", "  ret ptr null", "run:"]
        body += ["  %ret = alloca ptr", "  %exc = alloca ptr"]
        if free:
            body.append("  %state = call ptr @PyEval_SaveThread()")
        body.append(f"  %status = call i32 @{native}(ptr %ret, ptr %exc, {', '.join(values)})")
        if free:
            body.append("  call void @PyEval_RestoreThread(ptr %state)")
        # Numba's statuses: 0 a value, -2 None; any other is an exception, and results are not all written.
        body += ["  %value = icmp eq i32 %status, 0", "  %none = icmp eq i32 %status, -2",
                 "  %whole = or i1 %value, %none", "  br i1 %whole, label %done, label %stopped",
                 "stopped:", f"  %te2 = load ptr, ptr @{key}_failure",
                 f"  %e2 = call ptr (ptr, ptr, ...) @PyErr_Format(ptr %te2, ptr @{key}_stop, i32 %status)",
                 "  ret ptr null", "done:"]
        if sys.version_info < (3, 12):  # None is immortal from 3.12 on
            body += ["  %rc = load i64, ptr @_Py_NoneStruct", "  %rc1 = add i64 %rc, 1",
                     "  store i64 %rc1, ptr @_Py_NoneStruct"]
        body.append("  ret ptr @_Py_NoneStruct")
        if kinds:
            incoming = ", ".join(f"[ {i}, %a{i} ]" for i in kinds)
            body += ["badkind:", f"  %which = phi i64 {incoming}", f"  %te1 = load ptr, ptr @{key}_error",
                     f"  %e1 = call ptr (ptr, ptr, ...) @PyErr_Format(ptr %te1, ptr @{key}_kind, i64 %which)",
                     "  ret ptr null"]
        text.append("\n".join(body + ["}"]))
    return "\n".join(text)


def _numba_type(code: str, checked: bool):
    from numba import types as nt
    name = {"bool": "boolean"}.get(code.lstrip("*"), code.lstrip("*"))
    t = getattr(nt, name)
    if code[0] != "*":
        return t
    return nt.Array(t, 1, "C") if checked else nt.CPointer(t)


def _bind(fn: Callable, jitted: dict, flags: Iterable[str]) -> Callable:
    """`fn` with its Device and Intrinsic globals replaced by what numba compiles."""
    import numba
    if not _intrinsic_table:
        _intrinsic_table.update(_numba_intrinsics())
    g = {}
    for name in set(_all_names(fn.__code__)):
        if name not in fn.__globals__:
            continue
        v = fn.__globals__[name]
        if isinstance(v, Device):
            if v not in jitted:
                jitted[v] = numba.njit(_bind(v.fn, jitted, flags), fastmath=set(flags), error_model="numpy",
                                       boundscheck=CHECKED, inline="never")
            v = jitted[v]
        elif isinstance(v, Intrinsic):
            v = _intrinsic_table[v.__name__]
        g[name] = v
    g["__builtins__"] = fn.__globals__.get("__builtins__", __builtins__)
    g["__name__"] = "kernel"
    return types.FunctionType(fn.__code__, g, fn.__name__)


def _all_names(code) -> list[str]:
    out = list(code.co_names)
    for c in code.co_consts:
        if isinstance(c, types.CodeType):
            out += _all_names(c)
    return out


def llvm_ir(fn: Callable, signature: tuple[str, ...], strict: bool = False) -> tuple[str, str]:
    """(optimised LLVM IR of a kernel, name of its native function), by numba, with pointers for arrays."""
    from numba.core import compiler
    from numba.core.cpu import FastMathOptions
    from numba.core.registry import cpu_target
    fast = _fast(strict)
    flags: Any = compiler.Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.release_gil = flags.nrt = False
    flags.error_model = "numpy"
    flags.fastmath = FastMathOptions(set(fast))
    typing, target = cpu_target.typing_context, cpu_target.target_context
    args = tuple(_numba_type(c, False) for c in signature)
    result = compiler.compile_extra(typing, target, _bind(fn, {}, fast), args, None, flags, {})
    return str(result.library._final_module), result.fndesc.llvm_func_name


def _fast(strict: bool) -> tuple[str, ...]:
    """The fast-math flags of a kernel."""
    return () if strict else FAST_MATH


def _object_code(fn: Callable, signature: tuple[str, ...], key: str, strict: bool) -> bytes:
    ll = engine().ll
    text, native = llvm_ir(fn, signature, strict)
    if DEBUG >= 5:
        print(text, file=sys.stderr)
    module = ll.parse_assembly(text)
    needs_numba = any(f.is_declaration and f.name.startswith(("numba_", "NRT_")) for f in module.functions)
    module.link_in(ll.parse_assembly("declare i32 "
                                     f"@{native}({_declared(signature)})\n" + entry(key, native, signature)))
    module.verify()
    return (b"n" if needs_numba else b"-") + engine().machine.emit_object(module)


def _declared(signature) -> str:
    return ", ".join(["ptr", "ptr"] + ["ptr" if c[0] == "*" else _LL_SCALAR[c] for c in signature])


class Native:
    """A compiled kernel: `call(lo, hi, …)` keeps the GIL, `free(lo, hi, …)` releases it while it runs."""

    __slots__ = ("call", "free", "fn", "signature")

    def __init__(self, fn: Callable, signature: tuple[str, ...], call: Callable, free: Callable):
        self.fn, self.signature, self.call, self.free = fn, signature, call, free


class KernelError(RuntimeError):
    """A kernel that could not be compiled: a defect of numtorch, with the kernel's name and types."""


def compile(fn: Callable, signature: tuple[str, ...], strict: bool = False) -> Native:
    """Compile the kernel `fn` by numba for argument types such as ("int64", "int64", "*float32", "*float32",
    "int64"). strict: IEEE arithmetic in the order written, as emitted kernels want; else with FAST_MATH."""
    if DISABLED:
        run = _retyped(plain(fn), signature)
        return Native(fn, signature, run, run)
    with _lock:
        if CHECKED:
            return _checked(fn, signature, strict)
        key = "k" + content_hash(fn, signature, strict)
        return compiled(key, fn, signature, lambda: _object_code(fn, signature, key, strict))


def compiled(key: str, fn: Any, signature: tuple[str, ...], make: Callable[[], bytes]) -> Native:
    """The kernel of that key: loaded already, kept on disk, or `make` of its object code now."""
    with _lock:
        native = _loaded.get(key) or _kept(key, fn, signature)
        if native is None:
            blob = _timed({key: (fn, signature)}, make)
            cache.write(key, blob)
            native = _load(key, fn, signature, blob)
            assert native is not None
        return native


def together(kernels: dict[str, tuple[Any, tuple[str, ...]]],
             make: Callable[[dict[str, str]], bytes]) -> dict[str, Native]:
    """Kernels that take words, by their keys. Those that are neither loaded nor on disk are compiled at once:
    `make` gives object code for them, whose symbols stand in its argument."""
    with _lock:
        out, missing = {}, {}
        for key, kernel in kernels.items():
            native = _loaded.get(key) or _kept(key, *kernel)
            if native is None:
                missing[key] = kernel
            else:
                out[key] = native
        if len(missing) == 1:
            ((key, kernel),) = missing.items()
            out[key] = compiled(key, *kernel, lambda: b"w" + make({key: key}))
        elif missing:
            group = "g" + hashlib.sha256("".join(missing).encode()).hexdigest()[:32]
            code = _timed(missing, lambda: make({key: group + key for key in missing}))
            cache.write(group, code)
            engine().link_words(code)
            _linked.add(group)
            for key, kernel in missing.items():
                blob = b"g" + group.encode()
                cache.write(key, blob)
                native = _load(key, *kernel, blob)
                assert native is not None
                out[key] = native
        return out


def _timed(kernels: dict[str, tuple[Any, tuple[str, ...]]], make: Callable[[], bytes]) -> bytes:
    """`make`, with the names of the kernels in errors and in what NUMTORCH_DEBUG prints."""
    names = ", ".join([f"{getattr(fn, '__name__', None) or fn.name} ({', '.join(signature)})"
                       for fn, signature in kernels.values()])
    start = time.perf_counter()
    try:
        blob = make()
    except Exception as e:
        raise KernelError(f"the kernel {names} does not compile: "
                          f"{str(e).strip().splitlines()[0] if str(e) else type(e).__name__}") from e
    if DEBUG:
        print(f"numtorch: compiled {names} in {(time.perf_counter() - start) * 1e3:.0f} ms", file=sys.stderr)
    return blob


def _kept(key: str, fn: Any, signature: tuple[str, ...]) -> Native | None:
    """The kernel of that key from disk."""
    blob = cache.read(key)
    return None if blob is None else _load(key, fn, signature, blob)


def _load(key: str, fn: Any, signature: tuple[str, ...], blob: bytes) -> Native | None:
    """The kernel in a cache entry, whose first byte says what it is: w a kernel that takes words, g the name
    of the entry with the object code of several, - one that numba compiled, n one that needs numba's runtime.
    None where the other entry is gone."""
    kind = blob[:1]
    if kind == b"g":
        group = blob[1:].decode()
        if group not in _linked:
            code = cache.read(group)
            if code is None:
                return None
            engine().link_words(code)
            _linked.add(group)
        entries = engine().words(group + key, signature)
    elif kind == b"w":
        engine().link_words(blob[1:])
        entries = engine().words(key, signature)
    else:
        if kind == b"n":
            from numba.core.registry import cpu_target
            assert cpu_target.target_context  # making it registers runtime functions such as numba_cpow
        entries = engine().load(blob[1:], key, signature)
    native = _loaded[key] = Native(fn, signature, *entries)
    return native


_loaded: dict[str, Native] = {}  # by content: a symbol may stand in the engine once
_linked: set[str] = set()        # groups in the engine


def _retyped(run: Callable, signature: tuple[str, ...]) -> Callable:
    """`run` on arrays seen as the element types of the signature, as pointers would be: a storage may have
    been made with another type (x.view(torch.int32))."""
    types_ = [np.dtype(c[1:]) if c[0] == "*" else None for c in signature]

    def retyped(*args):
        return run(*[a if t is None or a.dtype == t else a.view(t) for a, t in zip(args, types_)])
    return retyped


class _PlainMath:
    """`math` for kernels that run as plain Python: IEEE results instead of exceptions, float32 kept."""

    pi, e, inf, nan = np.pi, np.e, np.inf, np.nan
    NAMES = {"pow": "power", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2",
             "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "fabs": "fabs"}

    @staticmethod
    def lgamma(x):
        import math
        return type(x)(math.inf if x <= 0 and x == np.floor(x) else math.lgamma(x))

    def __getattr__(self, name: str):
        fn = getattr(np, self.NAMES.get(name, name), None)
        if fn is None:
            import math
            fn = np.frompyfunc(getattr(math, name), 1, 1)
        return fn


def plain(fn: Callable) -> Callable:
    """A kernel as the Python it is, on ndarrays."""
    import cmath
    import math
    swap = {id(math): _PlainMath(), id(cmath): _PlainMath()}
    g = {k: swap.get(id(v), v) for k, v in fn.__globals__.items()}
    body = types.FunctionType(fn.__code__, g, fn.__name__, fn.__defaults__, fn.__closure__)

    def run(*args):
        with np.errstate(all="ignore"):
            body(*args)
    return run


def plain_body(fn: Callable) -> Callable:
    """An op's body as a function of Python numbers: IEEE results where `math` raises."""
    import math

    def ieee(v):
        return np.complex128(v) if isinstance(v, complex) else np.float64(v) if isinstance(v, float) else v
    g = {k: (_PlainMath() if v is math else v) for k, v in fn.__globals__.items()}
    body = types.FunctionType(fn.__code__, g, fn.__name__, fn.__defaults__, fn.__closure__)

    def run(*args, **kwargs):
        with np.errstate(all="ignore"):
            return body(*[ieee(a) for a in args], **{k: ieee(v) for k, v in kwargs.items()})
    return run


def _checked(fn: Callable, signature: tuple[str, ...], strict: bool) -> Native:
    import numba
    types_ = tuple(_numba_type(c, True) for c in signature)
    f = numba.njit(types_, boundscheck=True, nogil=True, error_model="numpy",
                   fastmath=set(_fast(strict)))(_bind(fn, {}, _fast(strict)))

    run = _retyped(f, signature)
    return Native(fn, signature, run, run)


# --------------------------------------------------------------------------------------- hand-written kernels
_CODES = {np.dtype(n): "*" + n
          for n in ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64",
                    "float32", "float64", "complex64", "complex128")}
_CODES[np.dtype("bool")] = "*uint8"  # a byte in memory; numba's own boolean is one bit


class Kernel:
    """A hand-written kernel: compiled for the types it is called with, when it is first called with them."""

    def __init__(self, fn: Callable):
        self.fn, self.__name__, self.__doc__ = fn, fn.__name__, fn.__doc__
        self._compiled: dict[tuple, Native] = {}

    def native(self, args: tuple) -> Native:
        key = tuple([a.dtype if type(a) is np.ndarray else type(a) for a in args])
        found = self._compiled.get(key)
        if found is None:
            codes = ["int64", "int64"]
            for a in args:
                if isinstance(a, np.ndarray):
                    codes.append(_CODES[a.dtype])
                elif isinstance(a, (bool, int, np.integer)):
                    codes.append("int64")
                else:
                    codes.append("float64")
            from .device import compile as translated
            found = self._compiled[key] = translated(self.fn, tuple(codes))
        return found

    def __call__(self, lo: int, hi: int, *args) -> None:
        self.native(args).call(lo, hi, *args)


def kernel(fn: Callable) -> Kernel:
    """Make a kernel of a plain function `fn(lo, hi, *arrays, *ints, *floats)`. Arrays are 1-d and
    contiguous."""
    return Kernel(fn)


def launch(k: Kernel, n: int, cost: float, *args) -> None:
    """Do the work items 0 … n-1 of `k`, on several threads where `cost` (about nanoseconds an item) makes it
    pay."""
    parallel(k.native(args), n, cost, args)


# ------------------------------------------------------------------------------------------------ threads
# Starting work on a Python thread costs about 15 µs; below this many nanoseconds of work it does not pay.
PARALLEL_NS = 60_000.0


class Pool:
    """Worker threads that each run one range of a kernel. Made when first needed, made anew after a fork."""

    def __init__(self) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self.count = max(1, cores or 1)
        env = os.environ.get("OMP_NUM_THREADS", "")
        if env.isdigit() and int(env) > 0:
            self.count = int(env)
        self._queue: Any = None
        self._started = 0
        self._busy = threading.local()

    def reset(self) -> None:
        self._queue, self._started = None, 0
        self._busy = threading.local()

    def _work(self, queue) -> None:
        self._busy.on = True
        while True:
            job = queue.get()
            if job is None:
                return
            run, lo, hi, args, done = job
            try:
                run(lo, hi, *args)
                done.put(None)
            except BaseException as e:  # handed to the thread that launched
                done.put(e)

    def run(self, native: Native, n: int, args: tuple, parts: int) -> None:
        import queue
        with _lock:
            if self._queue is None:
                self._queue = queue.SimpleQueue()
            while self._started < self.count - 1:
                self._started += 1
                threading.Thread(target=self._work, args=(self._queue,), daemon=True, name="numtorch").start()
        done: Any = queue.SimpleQueue()
        cuts = [n * i // parts for i in range(parts + 1)]
        for i in range(1, parts):
            self._queue.put((native.free, cuts[i], cuts[i + 1], args, done))
        failure = None
        try:
            native.free(0, cuts[1], *args)
        except BaseException as e:
            failure = e
        for _ in range(1, parts):
            failure = done.get() or failure
        if failure is not None:
            raise failure


pool = Pool()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    pool.reset()


if hasattr(os, "register_at_fork"):
    # A fork waits for a compilation that another thread is in, so that the child never inherits one half
    # done.
    os.register_at_fork(before=lambda: _lock.acquire(), after_in_parent=lambda: _lock.release(),
                        after_in_child=_after_fork)


def parallel(native: Native, n: int, cost: float, args: tuple) -> None:
    """Run items 0 … n-1 of a compiled kernel, split over the pool where that pays. The split never changes a
    result."""
    work = n * cost
    if work < PARALLEL_NS:
        native.call(0, n, *args)
    elif pool.count == 1 or n < 2 or getattr(pool._busy, "on", False) or DISABLED:
        native.free(0, n, *args)
    else:
        pool.run(native, n, args, min(pool.count, n))


def set_num_threads(n: int) -> None:
    """Use up to `n` threads for one operation."""
    pool.count = n


def get_num_threads() -> int:
    return pool.count
