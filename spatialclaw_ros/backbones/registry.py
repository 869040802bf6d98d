"""Makes the backbone that the configuration names."""

from __future__ import annotations

from spatialclaw_ros.backbones.chat import Backbone
from spatialclaw_ros.backbones.config import BACKBONE_NAMES, BackboneConfig
from spatialclaw_ros.errors import ConfigurationError


def make_backbone(config: BackboneConfig) -> Backbone:
    """The backbone of `config.name`.

    Raises: ConfigurationError for an unknown name, or when the environment variable of the key is named but not set.
    """
    if config.name == "rules":
        from spatialclaw_ros.backbones.rules import RulesBackbone

        return RulesBackbone()
    if config.name == "openai":
        from spatialclaw_ros.backbones.openai import OpenAIBackbone

        return OpenAIBackbone(config)
    raise ConfigurationError(f"backbone.name is {config.name!r}; expected one of {', '.join(BACKBONE_NAMES)}")
