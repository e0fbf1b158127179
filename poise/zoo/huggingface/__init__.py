"""Folders of Hugging Face's transformers and models of its hub: settings there -> a config.

Such a folder has `config.json`, mostly `preprocessor_config.json`, and the weights. Where settings
are left out, transformers' defaults hold.
"""

from poise.zoo.huggingface.folder import (
    config_of_settings,
    folder_weights,
    transformers_config,
)

__all__ = ["config_of_settings", "folder_weights", "transformers_config"]
