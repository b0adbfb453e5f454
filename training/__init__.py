"""Training: data sets in memory, augmentation, synthetic defocus, losses, recipes and the trainer."""

from br2net.training.recipe import RECIPES, Recipe
from br2net.training.trainer import TrainingJob, train

__all__ = ["RECIPES", "Recipe", "TrainingJob", "train"]
