"""The offline backbone: reads a spatial question by grammar and writes the cells that measure its answer."""

from spatialclaw_ros.backbones.rules.backbone import RulesBackbone

__all__ = ["RulesBackbone"]
