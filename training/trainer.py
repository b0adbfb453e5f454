"""The trainer: resumable, with progress, logs, a running average of the weights and a held-out check."""

import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from br2net.errors import ModelError, TrainingError
from br2net.files import write_text, written_whole
from br2net.network import BR2Net, BR2NetConfig, Checkpoint, initialise_backbone, load_checkpoint, save_checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.runtime.metadata import IMAGENET, SYMMETRIC, Normalisation
from br2net.training.data import (
    Batch,
    BatchMaker,
    HeldOutSet,
    TrainingSet,
    load_mix,
    load_samples,
    load_sharp,
    prefetched,
    split_pairs,
)
from br2net.training.fusion import choose_fusion
from br2net.training.losses import total_loss
from br2net.training.recipe import Recipe
from br2net.training.schedule import build_optimizer, set_learning_rate, update_average
from br2net.training.validation import HeldOutFigures, check_held_out

STATE_FORMAT = "br2net-training-2"


@dataclass(frozen=True)
class TrainingJob:
    """One run of the trainer.

    Attributes:
        dataset: folder with `images/` and `masks/`, or the data folder of `mix`.
        output: folder for `last.pth` (state to resume from), `best.pth` (the result) and `log.jsonl`.
        mix: file that names several sets below `dataset` (see `mix`), or None for one set.
        split: list of the photographs to use, or None for all.
        invert_masks: the masks are white = in focus.
        backbone_weights: local ImageNet weights; None downloads them.
        random_weights: start the backbone from random weights instead.
        start: a checkpoint of the same network to start from, for example to fine-tune it on other photographs, or None.
            A recipe that chooses the fusion starts with its own fusion; with another, that of the checkpoint stays. The
            result is this checkpoint where nothing does better.
        sharp: folder of photographs in focus everywhere, as material for synthetic defocus, or None.
        max_minutes: the schedule ends after so many minutes of training even where the epochs are not done; 0 for never.
        check_minutes: minutes between two held-out checks, each followed by saving the state to resume from.
        save_minutes: minutes after which that state is saved without a check.
        training_data, licence: what the model says of itself.
    """

    dataset: Path
    output: Path
    mix: Path | None = None
    split: Path | None = None
    invert_masks: bool = False
    backbone_weights: Path | None = None
    random_weights: bool = False
    start: Path | None = None
    sharp: Path | None = None
    max_minutes: float = 0.0
    check_minutes: float = 4.0
    save_minutes: float = 4.0
    seed: int = 0
    training_data: str = "unknown"
    licence: str = "unknown"


@dataclass
class _State:
    """What changes while training, and is kept in `last.pth`."""

    step: int = 0
    seconds: float = 0.0
    best_score: float = float("inf")


class Trainer:
    """Trains one network by one recipe. Make it, then call `run`; a second run of the same job resumes the first."""

    def __init__(self, recipe: Recipe, job: TrainingJob) -> None:
        self._recipe, self._job = recipe, job
        torch.manual_seed(job.seed)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._normalisation: Normalisation = IMAGENET if recipe.normalisation == "imagenet" else SYMMETRIC
        self._training, self._held_out = _load(job)
        self._sharp = load_sharp(job.sharp) if job.sharp else []
        self._state = _State()
        earlier = _read_state(job.output / "last.pth", recipe, self._device)
        if earlier is not None:
            self._model = BR2Net(BR2NetConfig.from_json(earlier["config"]))
        elif job.start is not None:
            self._model = _started_from(job.start, recipe)
        else:
            self._model = BR2Net(recipe.config)
            if not job.random_weights:
                initialise_backbone(self._model.backbone, recipe.config.backbone, job.backbone_weights)
        self._model.to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._model.commute(recipe.commuted)
        self._optimizer = build_optimizer(self._model, recipe)
        self._average = copy.deepcopy(self._model).eval().requires_grad_(False)
        if earlier is not None:
            self._restore(earlier)

    def run(self) -> Path:
        """Train until the schedule ends; gives the path of the best checkpoint."""
        recipe = self._recipe
        total = max(sum(len(item.samples) for item in self._training) // recipe.batch, 1) * recipe.epochs
        maker = BatchMaker(
            self._training, self._sharp, recipe.augmentation, self._normalisation, self._job.seed + self._state.step
        )
        began, before = time.monotonic(), self._state.seconds
        next_check = before + 60 * self._job.check_minutes
        next_save = before + 60 * self._job.save_minutes
        losses: list[float] = []
        if self._job.start is not None and not self._state.step:
            self._log({"share": 0.0, **asdict(self._keep_if_best(self._average))})
        with _progress() as bar, prefetched(maker, self._wanted(total)) as batches:
            task = bar.add_task("training", total=total, completed=self._state.step, note="")
            for batch in batches:
                share = self._share(total)
                if share >= 1.0:
                    break
                losses.append(self._train_step(batch, share))
                self._state.step += 1
                self._state.seconds = before + time.monotonic() - began
                bar.update(task, completed=self._state.step, note=f"loss {np.mean(losses[-50:]):.3f}")
                if self._state.seconds >= next_check:
                    self._check(float(np.mean(losses)), share)
                    losses.clear()
                    next_check = self._state.seconds + 60 * self._job.check_minutes
                    next_save = self._state.seconds + 60 * self._job.save_minutes
                elif self._state.seconds >= next_save:
                    self._save()
                    next_save = self._state.seconds + 60 * self._job.save_minutes
            self._check(float(np.mean(losses)) if losses else float("nan"), 1.0)
        return self._job.output / "best.pth"

    def _keep_if_best(self, model: BR2Net) -> HeldOutFigures:
        """Measure `model` on the held-out photographs as it would ship, with the fusion chosen by them, and keep the best."""
        candidate = self._result(model)
        if self._recipe.chooses_fusion:
            candidate = choose_fusion(candidate, self._held_out, self._normalisation)
        figures = check_held_out(candidate.model, self._held_out, self._recipe.size, self._normalisation)
        if figures.score < self._state.best_score:
            self._state.best_score = figures.score
            save_checkpoint(self._job.output / "best.pth", replace(candidate, figures=_named(figures)))
        return figures

    def _share(self, total: int) -> float:
        """How much of the schedule is over, 0..1: by steps, or by time where that is short."""
        minutes = self._job.max_minutes
        return max(self._state.step / total, self._state.seconds / 60 / minutes if minutes else 0.0)

    def _wanted(self, total: int) -> Iterator[tuple[int, int]]:
        """Count and size of each batch to come; the phases follow the schedule."""
        rng = np.random.default_rng(self._job.seed + self._state.step)
        for _ in range(self._state.step, total):
            share = self._share(total)
            phase = next((phase for phase in self._recipe.phases if share < phase.until), self._recipe.phases[-1])
            yield self._recipe.batch, int(rng.choice(phase.sizes))

    def _train_step(self, batch: Batch, share: float) -> float:
        self._model.train()
        set_learning_rate(self._optimizer, self._recipe, share)
        image = torch.from_numpy(batch.image).to(self._device, memory_format=torch.channels_last)
        mask = torch.from_numpy(batch.mask).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=_computes_bfloat16(self._device)):
            predictions = self._model.predict(image)
        loss = total_loss(predictions, mask, self._recipe)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss is {value} at step {self._state.step}: training has diverged. "
                f"Start again in another folder, with a smaller learning rate; {self._job.output} keeps what was best."
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 5.0)
        self._optimizer.step()
        update_average(self._average, self._model, self._recipe.ema_decay, self._state.step + 1)
        return value

    def _check(self, loss: float, share: float) -> None:
        """Measure the averaged weights, keep them if they are the best, and save the state."""
        figures = self._keep_if_best(self._average)
        self._log({"loss": loss, "share": round(share, 4), **asdict(figures)})
        self._save()

    def _result(self, model: BR2Net) -> Checkpoint:
        recipe, job = self._recipe, self._job
        facts = ModelFacts(
            name=recipe.model,
            width=recipe.size,
            height=recipe.size,
            mean=self._normalisation.mean,
            std=self._normalisation.std,
            training_data=job.training_data,
            licence=job.licence,
        )
        return Checkpoint(model, facts)

    def _log(self, facts: dict[str, Any]) -> None:
        line = {"step": self._state.step, "minutes": round(self._state.seconds / 60, 2), **facts}
        self._job.output.mkdir(parents=True, exist_ok=True)
        with (self._job.output / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(_without_nan(line)) + "\n")

    def _save(self) -> None:
        content = {
            "format": STATE_FORMAT,
            "config": self._model.config.to_json(),
            "state": asdict(self._state),
            "model": self._model.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        with written_whole(self._job.output / "last.pth") as temporary:
            torch.save(content, temporary)

    def _restore(self, content: dict[str, Any]) -> None:
        self._state = _State(**content["state"])
        self._model.load_state_dict(content["model"])
        self._average.load_state_dict(content["average"])
        self._optimizer.load_state_dict(content["optimizer"])


def train(recipe: Recipe, job: TrainingJob) -> Checkpoint:
    """Train by `recipe`, or resume where `job.output` holds the state of an earlier run; gives the best checkpoint."""
    trainer = Trainer(recipe, job)
    write_text(job.output / "recipe.json", json.dumps(asdict(recipe), indent=2) + "\n")
    return load_checkpoint(trainer.run())


def _load(job: TrainingJob) -> tuple[list[TrainingSet], list[HeldOutSet]]:
    if job.mix is not None:
        return load_mix(job.dataset, job.mix)
    training, held_out = split_pairs(job.dataset, job.split, job.invert_masks)
    name = job.dataset.name
    return [TrainingSet(name, load_samples(training))], [HeldOutSet(name, load_samples(held_out))]


def _without_nan(facts: Any) -> Any:
    """Replace NaN, which JSON does not have, by None."""
    if isinstance(facts, dict):
        return {name: _without_nan(value) for name, value in facts.items()}
    return None if isinstance(facts, float) and math.isnan(facts) else facts


def _named(figures: HeldOutFigures) -> dict[str, float]:
    return {f"held_out_{key}": value for key, value in asdict(figures).items() if key != "sets"}


def _read_state(path: Path, recipe: Recipe, device: torch.device) -> dict[str, Any] | None:
    """The state that an earlier run left, or None where there is none."""
    if not path.is_file():
        return None
    content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if content.get("format") == "br2net-training-1":  # chose by the MAE, which is the score of a single set
        content["state"]["best_score"] = content["state"].pop("best_mae")
        content["format"] = STATE_FORMAT
    if content.get("format") != STATE_FORMAT or not _trains(recipe, BR2NetConfig.from_json(content["config"])):
        raise ModelError(f"{path} is the state of another network; choose another output folder.")
    return content


def _started_from(path: Path, recipe: Recipe) -> BR2Net:
    """Load the network of a checkpoint, with the recipe's fusion if the recipe chooses one in the end."""
    model = load_checkpoint(path).model
    if not _trains(recipe, model.config):
        raise ModelError(f"{path} holds another network than the recipe {recipe.name} trains.")
    if not recipe.chooses_fusion:
        return model
    restarted = BR2Net(recipe.config)
    restarted.load_state_dict(model.state_dict())
    return restarted


def _trains(recipe: Recipe, config: BR2NetConfig) -> bool:
    """Whether the recipe trains this network; how it fuses is chosen after training, so it may differ."""
    wanted = recipe.config
    return replace(config, fusion_weights=wanted.fusion_weights, guided_radius=wanted.guided_radius) == wanted


def _progress() -> Progress:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(TextColumn("{task.description}"), *columns)


def _computes_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there: on GPUs that have it, and on CPUs with AVX-512 BF16 or AMX."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
