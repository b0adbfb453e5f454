"""Training: data sets in memory, augmentation, synthetic defocus, losses, recipes and the trainer."""

from br2net.training.recipe import RECIPES, Recipe
from br2net.training.trainer import TrainingJob, train
from br2net.training.variants import VARIANTS, VariantRow, train_variants

__all__ = ["RECIPES", "VARIANTS", "Recipe", "TrainingJob", "VariantRow", "train", "train_variants"]
