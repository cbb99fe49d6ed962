"""The smallest Hydra application, for its --help."""

import hydra
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path=None)
def main(config: DictConfig) -> None:
    """Do nothing."""


main()
