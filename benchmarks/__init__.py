"""What the product costs, as ratios within one run; see README.md."""

from core.threads import share_processors

# Some import torch before anything of ours; they measure networks as they are run.
share_processors()
