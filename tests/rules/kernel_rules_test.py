#!/usr/bin/env python3
"""Checks what a kernel, and what launches it, may not do: what the emulation, the checker or the interpreter could not hold to account.

Each rule brings a line that breaks it and one that does not, which are tried first: a rule that finds nothing is not a
rule.

In kernels/ stands device code alone, in headers; what launches it is in src/backends/cuda, a .cu to a file of kernels.
"""

import pathlib
import re
import sys
from typing import NamedTuple

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent.parent)
HEADERS = "cuda_runtime.h cuda_fp16.h cuda_bf16.h mma.h".split()  # of CUDA's; mma.h in one header of ours


class Rule(NamedTuple):
    says: str
    pattern: str
    breaks: str
    keeps: str


RULES = [
    Rule("kernels are launched by launch()", r"<<<", "k<<<1, 32>>>(x);", "launch(k, grid, block, 0, on, x);"),
    Rule("the lanes that are active depend on the hardware", r"\b__activemask\b", "m = __activemask();", "m = ~0u;"),
    Rule("shuffles and votes name their lanes", r"\b__(shfl(_\w+)?(?<!_sync)|any|all|ballot)\s*\(",
         "x = __shfl_xor(v, 1);", "x = __shfl_xor_sync(~0u, v, 1);"),
    Rule("__noinline__ breaks the C++ library when it is a macro", r"\b__noinline__\b",
         "__noinline__ void f();", "__forceinline__ void f();"),
    Rule("a device prints nothing and asserts nothing", r"\b(printf|assert)\s*\(", 'printf("%d", i);', "static_assert(n > 0);"),
    Rule("a device allocates nothing", r"\b(malloc|free)\s*\(|\bnew\b|\bdelete\b", "float* p = new float[3];", "renewed = 3;"),
    Rule("inline PTX is not for the emulation", r"\basm\b", 'asm("mov.u32 %0, %%clock;");', "plasma = 3;"),
    Rule("no asynchronous copies, clusters, cooperative groups or other parts of CUDA's C++ library",
         r"\bcuda::(?!check|launch|On|blocks_for)\w+|\bcooperative_groups\b|\b__cluster_dims__\b|__pipeline_",
         "cuda::barrier<> b;", "cuda::check(answer);"),
    Rule("no textures, surfaces, graphs or managed memory",
         r"\b(cudaTextureObject_t|cudaSurfaceObject_t|tex[123]D|cudaGraph\w*|__managed__|cudaMallocManaged)\b",
         "__managed__ int x;", "managed = 3;"),
    Rule("random numbers come from shear/random.h, scans and sums from here", r"\b(curand\w*|cub::|thrust::)",
         "curandState s;", "StreamKey key;"),
    Rule("nothing is passed between blocks of one launch", r"\b__threadfence(_system)?\b|\bgridDependency\w*",
         "__threadfence();", "__syncthreads();"),
    Rule("two barriers on one line are not told apart", r"__sync(threads|warp)\w*\(.*__sync(threads|warp)\w*\(",
         "__syncthreads(); f(); __syncthreads();", "__syncthreads();"),
    Rule("a kernel is the same text for every compiler", r"^\s*#\s*(if|ifdef|ifndef|elif)\b|__CUDA_ARCH__|__CUDACC__",
         "#ifdef __CUDA_ARCH__", "#pragma unroll"),
    Rule("dynamic shared memory is one array of bytes, dyn_smem",
         r"\bextern\s+__shared__(?!\s+unsigned char dyn_smem\[\];)", "extern __shared__ float room[];",
         "extern __shared__ unsigned char dyn_smem[];"),
    Rule("a device keeps nothing from one launch to the next", r"^(inline |static )*__device__ (?!.*\b(constexpr|const)\b)[^(]*;",
         "__device__ int counter = 0;", "__device__ float f(float x);"),
    Rule("what an element's place is made of has 64 bits",
         r"(?<!int64_t\{)(?<!\* )\b(blockIdx|gridDim)\.[xyz]\s*\*\s*(threads\b|blockDim)", "i = blockIdx.x * blockDim.x + threadIdx.x;",
         "i = int64_t{blockIdx.x} * threads + threadIdx.x;"),
    Rule("sums of floats by atomics differ from run to run", r"\batomicAdd\s*\(.*(\d\.\d*f?|\bfloat\b)",
         "atomicAdd(sum, 1.f);", "atomicAdd(&of_block[bucket], 1u);"),
    Rule("of CUDA's headers only " + ", ".join(HEADERS),
         r"#\s*include\s*<(cuda|mma|cub|thrust|nvtx|curand|cooperative)(?!_runtime\.h|_fp16\.h|_bf16\.h|\.h)",
         "#include <cuda/std/array>", "#include <cuda_fp16.h>"),
]


def without_comments(text: str) -> list[str]:
    """The lines, with comments blanked."""
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    return [re.sub(r"//.*", "", line) for line in text.split("\n")]


def main() -> int:
    wrong = []
    for rule in RULES:
        if not re.search(rule.pattern, rule.breaks):
            wrong.append(f"the rule '{rule.says}' does not see {rule.breaks}")
        if re.search(rule.pattern, rule.keeps):
            wrong.append(f"the rule '{rule.says}' takes offence at {rule.keeps}")
    kernels, launches = sorted((ROOT / "kernels").iterdir()), sorted((ROOT / "src/backends/cuda").glob("*.cu"))
    wrong += [f"{p.relative_to(ROOT)}: only headers, NAME.cuh, stand in kernels/" for p in kernels if p.suffix != ".cuh"]
    for path in launches:
        if not (ROOT / "kernels" / f"{path.stem}.cuh").exists():
            wrong.append(f"{path.relative_to(ROOT)}: launches kernels, but there is no kernels/{path.stem}.cuh")
    files = kernels + launches
    users_of_mma = []
    for path in files:
        where = path.relative_to(ROOT)
        for number, line in enumerate(without_comments(path.read_text()), 1):
            wrong += [f"{where}:{number}: {rule.says}: {line.strip()}" for rule in RULES if re.search(rule.pattern, line)]
            if path in kernels and re.search(r"\blaunch\(|\bCudaBackend\b", line):
                wrong.append(f"{where}:{number}: kernels are launched in src/backends/cuda: {line.strip()}")
            if path in launches and re.search(r"\b__(global|device|shared)__\b", line):
                wrong.append(f"{where}:{number}: device code stands in kernels/: {line.strip()}")
            if re.search(r"#\s*include\s*<mma\.h>", line):
                users_of_mma.append(f"{where}:{number}")
    if len(users_of_mma) > 1:
        wrong.append(f"mma.h is included in one header, not in {', '.join(users_of_mma)}")
    if len(files) < 10:
        wrong.append(f"only {len(files)} files of kernels were found under {ROOT}")
    print("\n".join(wrong) if wrong else f"{len(files)} files of kernels keep to {len(RULES)} rules")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
