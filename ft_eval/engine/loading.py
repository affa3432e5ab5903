"""From a checkpoint folder to an engine that answers. Chooses device and data type; knows no task and no run."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from ft_eval.engine.engine import Engine
from ft_eval.engine.layout import Layout, lay_out
from ft_eval.engine.memory import free_bytes, is_out_of_memory
from ft_eval.engine.steps import StepCompiler
from ft_eval.errors import EngineError, UsageError, did_you_mean
from ft_eval.model.adapters.opening import open_model
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.native.build import Unavailable, load_library
from ft_eval.model.stored import stored_dtype
from ft_eval.model.tokenizer import Tokenizer
from ft_eval.records import EngineOptions, LatentPolicy, LatentSource

DEFAULT_SEED = 1234
"""The seed of Z and of sampling noise when none is given; lm-eval's own for its other seeds."""

AUTO_DRAWS = 128
"""K at most where `--z-draws auto` decides item by item."""
MAX_DRAWS = 2**20

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "int8": torch.bfloat16,  # the weights of the decoder's blocks are int8, all else bfloat16
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelArguments:
    """What it takes to load a model, in the words of the command line."""

    path: Path
    dtype: str = "auto"
    """auto (what config.json names), float32, bfloat16, float16, or int8: int8 weights in the decoder's blocks."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, cuda, cuda:N."""
    batch_size: int | None = None
    prefix_cache: bool = True
    """Whether what requests share is computed once."""
    captures_steps: bool = False
    """Whether decode steps are captured as CUDA graphs."""
    compile: str = "auto"
    """Whether the CPU's own kernels are used: auto, where compiling them pays back; on; off."""
    num_docs: int | None = None
    """Documents to be answered, for `auto` to weigh; None: not known, taken as many."""
    adapter: str | None = None
    """The name of a model class for a checkpoint that is not in a known layout; None finds the layout out."""
    allow_nonfinite: bool = False
    """Whether weights may be NaN or infinite."""
    latents: LatentPolicy = field(default_factory=LatentPolicy)
    """Used for a latent model, left out for a baseline."""
    seed: int = DEFAULT_SEED


def resolve_device(device: str) -> str:
    """The device's name as torch knows it.

    Raises:
        UsageError: an unknown device, or one that this machine doesn't have.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isascii()) or (number and not number.isdigit()):
        raise UsageError(f"--device {device}: unknown device; choose auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {device}: this machine has {torch.cuda.device_count()} CUDA devices; choose cpu or auto"
        )
    return device


def resolve_compile(compile_: str, *, device: str) -> bool:
    """Whether decode steps are captured as CUDA graphs. `auto` does not: that path has not been run on a GPU yet.

    Raises:
        UsageError: an unknown word, or `on` for a CPU that the project's own kernels can't be compiled for.
    """
    if compile_ not in ("auto", "on", "off"):
        raise UsageError(f"--compile {compile_}: expected auto, on or off")
    if compile_ == "on" and device == "cpu":
        library = load_library()
        if isinstance(library, Unavailable):
            raise UsageError(f"--compile on: {library.reason}; leave it out to use PyTorch's own kernels")
    return compile_ == "on" and device != "cpu"


def resolve_dtype(dtype: str, *, stored: str) -> str:
    """The data type's name: `stored` (what config.json names) for auto.

    Raises:
        UsageError: an unknown data type.
    """
    name = stored if dtype == "auto" else dtype
    if name in _DTYPES:
        return name
    if dtype == "auto":
        raise UsageError(f"the checkpoint's dtype is {name}, which is not computed here; pass --dtype bfloat16")
    raise UsageError(
        f"--dtype {name}: unknown data type{did_you_mean(name, _DTYPES)}; choose auto or {', '.join(_DTYPES)}"
    )


def latent_policy(source: str, z_draws: str = "1", prefix_latents: str = "item") -> LatentPolicy:
    """The policy of that name with that many draws: a number, or auto.

    `prefix_latents` is item or shared: whose Z the prior draws where prompts begin alike. The other policies have none
    of their own there to share.

    Raises:
        UsageError: an unknown name, or fewer than one draw.
    """
    known = [str(member) for member in LatentSource]
    if source not in known:
        raise UsageError(
            f"--latents {source}: unknown policy{did_you_mean(source, known)}; choose from {', '.join(known)}"
        )
    if prefix_latents not in ("item", "shared"):
        raise UsageError(f"--prefix-latents {prefix_latents}: expected item or shared")
    adaptive = z_draws == "auto"
    if not adaptive and not (z_draws.isascii() and z_draws.isdigit() and 1 <= int(z_draws) <= MAX_DRAWS):
        raise UsageError(f"--z-draws {z_draws}: expected auto or a number from 1 to {MAX_DRAWS}")
    if source == LatentSource.ZERO:
        return LatentPolicy(source=LatentSource.ZERO)  # nothing is drawn: one draw says all
    return LatentPolicy(
        source=LatentSource(source),
        num_draws=AUTO_DRAWS if adaptive else int(z_draws),
        adaptive=adaptive,
        shares_prefix=source == LatentSource.PRIOR and prefix_latents == "shared",
    )


def load_engine(arguments: ModelArguments) -> Engine:
    """Load a checkpoint and its tokenizer. A latent policy is used for a latent model and left out for a baseline.

    Raises:
        CheckpointError: the folder can't be used.
        EngineError: the device has not the memory for it.
        UsageError: the device, the data type or the policy can't.
    """
    path = arguments.path
    device = resolve_device(arguments.device)
    dtype = resolve_dtype(arguments.dtype, stored=stored_dtype(path))
    model, steps = _open(arguments, dtype, device)
    tokenizer = Tokenizer.load(path if path.is_dir() else path.parent, model.config)
    policy = arguments.latents if model.config.latent else None
    options = EngineOptions(
        batch_size=arguments.batch_size,
        device=device,
        prefix_cache=arguments.prefix_cache,
        captures_steps=arguments.captures_steps,
        compile=arguments.compile,
    )
    return Engine(model, tokenizer, latents=policy, options=options, steps=steps)


def _open(arguments: ModelArguments, dtype: str, device: str) -> tuple[LatentModel, StepCompiler | None]:
    """The model on its device, and what decodes with it. Raises EngineError, with the sizes, when it has no room."""
    try:
        model: LatentModel = open_model(
            arguments.path,
            adapter=arguments.adapter,
            dtype=_DTYPES[dtype],
            device=torch.device(device),
            allow_nonfinite=arguments.allow_nonfinite,
        )
        layout = Layout(device=device, is_int8=dtype == "int8", compile=arguments.compile, num_docs=arguments.num_docs)
        steps = lay_out(model, layout)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        smaller = {"float32": "--dtype bfloat16", "bfloat16": "--dtype int8 on a CPU"}.get(dtype, "another --device")
        raise EngineError(
            f"{arguments.path} in {dtype} does not fit the memory of {device}: its files have "
            f"{_num_bytes(arguments.path) / 2**30:.2f} GiB, {free_bytes(device) / 2**30:.2f} GiB are free there; "
            f"try {smaller}"
        ) from error
    return model, steps


def _num_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()) if file.is_file())
