"""Training: data sets in memory, augmentation, synthetic defocus, losses, recipes and the trainer."""

from br2net.training.ablation import AblationRow, run_ablation
from br2net.training.recipe import ABLATION, RECIPES, Recipe
from br2net.training.trainer import TrainingJob, train

__all__ = ["ABLATION", "RECIPES", "AblationRow", "Recipe", "TrainingJob", "run_ablation", "train"]
