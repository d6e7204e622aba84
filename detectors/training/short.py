"""Short: a config becomes metrics by mmengine's Runner, which leaves nothing behind."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import math
import multiprocessing
import time
import warnings
from collections.abc import Iterator
from typing import Any

from detectors import mmcv_ops

mmcv_ops.install()

with contextlib.redirect_stdout(io.StringIO()):  # mmdetection prints which optional parts it lacks
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
import torch  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402
from mmengine.config import Config, ConfigDict  # noqa: E402
from mmengine.hooks import Hook  # noqa: E402
from mmengine.logging import MessageHub, MMLogger  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from mmengine.visualization import Visualizer  # noqa: E402

from detectors.heads import registry  # noqa: E402, F401  registers them
from detectors.heads.self_balance import SelfBalance  # noqa: E402
from detectors.heads.training_state import TrainingState  # noqa: E402
from detectors.losses import expression  # noqa: E402, F401  registers them
from detectors.training import checkpoints, coco_metric  # noqa: E402
from detectors.training.config import BALANCE, STATE  # noqa: E402
from primitives.system import scratch  # noqa: E402

_numbers = itertools.count()


class TrainingFailedError(RuntimeError):
    """A training that cannot go on; says at which iteration, and the value."""


CHECK_EVERY = 50
"""Iterations on a GPU between looks at the losses: a look waits for the device. On the CPU it costs nothing."""


def clock() -> float:
    """Seconds, once a GPU has done what it was given."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
    return time.perf_counter()


class Watch(Hook):  # type: ignore[misc]
    """Ends a training when a loss or a weight is not finite; keeps the last loss, the metrics and the time.

    Args:
        strict: False lets losses pass that are not finite: with mixed precision the step is left out.
    """

    def __init__(self, strict: bool = True) -> None:
        self.strict = strict
        self.loss = math.nan
        self.names: list[str] = []
        self.seen: list[torch.Tensor] = []
        self.begun = self.trained = 0.0
        self.metrics: dict[str, float] = {}

    def before_train(self, runner: Runner) -> None:  # noqa: ARG002
        """See mmengine's Hook."""
        self.begun = clock()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,  # noqa: ARG002
        data_batch: Any = None,  # noqa: ARG002
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """See mmengine's Hook."""
        parts = {name: value for name, value in (outputs or {}).items() if "loss" in name}
        # The part at fault before the sum.
        self.names = sorted(parts, key=lambda name: name == "loss")
        self.seen.append(torch.stack([parts[name].detach().float() for name in self.names]))
        if not self.seen[0].is_cuda or len(self.seen) == CHECK_EVERY:
            self._look(runner.iter + 1)

    def _look(self, iteration: int) -> None:
        """Brings the losses since the last look from the device; `iteration` is that of the last of them."""
        rows = torch.stack(self.seen).tolist() if self.seen else []
        self.seen = []
        for behind, row in zip(range(len(rows))[::-1], rows, strict=True):
            for name, value in zip(self.names, row, strict=True):
                if self.strict and not math.isfinite(value):
                    raise TrainingFailedError(f"{name} is {value} at iteration {iteration - behind}")
            self.loss = row[self.names.index("loss")]

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """See mmengine's Hook; what is saved is gone on from, so it is looked at first."""
        self._look(runner.iter)
        if self.strict:
            _check_weights(runner.model, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """See mmengine's Hook."""
        self._look(runner.iter)

    def before_val(self, runner: Runner) -> None:
        """See mmengine's Hook; the step after the last loss has not been judged by any loss."""
        self._look(runner.iter)
        _check_weights(runner.model, runner.iter)
        self.trained = clock()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """See mmengine's Hook."""
        self.metrics = {name.removeprefix("coco/"): value for name, value in (metrics or {}).items()}


def train_briefly(config: Config) -> dict[str, Any]:
    """Trains and evaluates once, at the end.

    Args:
        config: as `configure` gives it.

    Returns:
        The metrics of `Truth.score`, what each image contributes where the config asks for it, the last loss, and the
        seconds of training and of evaluation.

    Raises:
        TrainingFailedError: a loss, a weight or a predicted box is not finite.
    """
    _, watch = _run(config)
    times = {"seconds_train": watch.trained - watch.begun, "seconds_eval": clock() - watch.trained}
    return {**watch.metrics, "loss": watch.loss, **times}


def trained(config: Config) -> torch.nn.Module:
    """Trains without an evaluation.

    Args:
        config: as `configure` gives it.

    Raises:
        TrainingFailedError: a loss or a weight is not finite.
    """
    config = Config(config.to_dict())
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    model, _ = _run(config)
    _check_weights(model, config.train_cfg.max_iters)
    return model


def built(model: ConfigDict) -> torch.nn.Module:
    """The network of a config, not trained."""
    network: torch.nn.Module = MODELS.build(model)
    return network


def _check_weights(model: torch.nn.Module, iterations: int) -> None:
    for name, weight in model.named_parameters():
        bad = weight.detach()[~torch.isfinite(weight)]
        if len(bad):
            raise TrainingFailedError(f"{name} holds {float(bad[0])} after iteration {iterations}")


def _run(config: Config) -> tuple[torch.nn.Module, Watch]:
    config = Config(config.to_dict())
    name = f"autoloss-{next(_numbers)}"
    watch = Watch()
    with scratch.folder() as folder, _quiet(), checkpoints.weights_only():
        try:
            runner = _runner(config, folder, name)
            runner.register_hook(watch)
            if STATE in (config.get("custom_hooks") or []):
                runner.register_hook(TrainingState())
            if BALANCE in (config.get("custom_hooks") or []):
                runner.register_hook(SelfBalance())
            runner.train()
        except coco_metric.ExplodedBoxError as error:
            raise TrainingFailedError(f"{error} after {config.train_cfg.max_iters} iterations") from None
        finally:
            _forget(name)
    return runner.model, watch


def _runner(config: Config, folder: str, name: str) -> Runner:
    """mmengine's Runner without the hooks that log and save.

    It is not built by `from_cfg`, which formats the whole config as text for a log that nobody reads.
    """
    return Runner(
        model=config.model,
        work_dir=folder,
        train_dataloader=config.train_dataloader,
        val_dataloader=config.val_dataloader,
        train_cfg=config.train_cfg,
        val_cfg=config.val_cfg,
        optim_wrapper=config.optim_wrapper,
        param_scheduler=config.param_scheduler,
        val_evaluator=config.val_evaluator,
        default_hooks=dict.fromkeys(("timer", "logger", "checkpoint", "runtime_info")),
        visualizer={"type": "Visualizer", "name": name, "vis_backends": []},
        env_cfg=config.get("env_cfg", {"dist_cfg": {"backend": "nccl"}}),
        randomness=config.randomness,
        load_from=config.get("load_from"),
        log_level="CRITICAL",
        default_scope="mmdet",
        experiment_name=name,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No noise of mm*, the COCO tools and third parties' warnings; what the Runner sets for the process is set back."""
    level, method = logging.root.level, multiprocessing.get_start_method(allow_none=True)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.root.setLevel(level)
            multiprocessing.set_start_method(method, force=True)


def _forget(name: str) -> None:
    """mmengine keeps loggers, visualizers and message hubs for ever; those of one training go with it."""
    for kind in (MMLogger, MessageHub, Visualizer, DefaultScope):
        for key in [key for key in kind._instance_dict if str(key).startswith(name)]:
            instance = kind._instance_dict.pop(key)
            for handler in getattr(instance, "handlers", []):
                handler.close()
