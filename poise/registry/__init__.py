"""Names -> objects: the registries that configs and user decorators speak to.

One lazy table per kind (`poise/registry/tables/`) says in which module each name lives, so
building one model imports one model. User classes join with `@MODELS.register_module()`.
"""

from poise.config.custom_imports import allow_imports, allowed_imports
from poise.registry.core import Registry
from poise.registry.scope import current_scope, init_default_scope, use_scope

MODELS = Registry("models")
DATASETS = Registry("datasets")
DATA_SAMPLERS = Registry("samplers")
TRANSFORMS = Registry("transforms")
KEYPOINT_CODECS = CODECS = Registry("codecs")
METRICS = Registry("metrics")
EVALUATOR = EVALUATORS = Registry("evaluators")
VISUALIZERS = Registry("visualizers")
VISBACKENDS = Registry("vis_backends")
HOOKS = Registry("hooks")
LOOPS = Registry("loops")
OPTIMIZERS = Registry("optimizers")
OPTIM_WRAPPERS = Registry("optim_wrappers")
OPTIM_WRAPPER_CONSTRUCTORS = Registry("optim_wrapper_constructors")
PARAM_SCHEDULERS = Registry("param_schedulers")
WEIGHT_INITIALIZERS = Registry("weight_initializers")
TASK_UTILS = Registry("task_utils")
BATCH_AUGMENTS = Registry("batch_augments")
MODEL_WRAPPERS = Registry("model_wrappers")
LOG_PROCESSORS = Registry("log_processors")
RUNNERS = Registry("runners")
RUNNER_CONSTRUCTORS = Registry("runner_constructors")
INFERENCERS = Registry("inferencers")
CAMERAS = Registry("cameras")
FUNCTIONS = Registry("functions")

#: kind -> registry, in the order above
ALL = {r.kind: r for r in list(globals().values()) if isinstance(r, Registry)}

__all__ = [
    "ALL",
    "BATCH_AUGMENTS",
    "CAMERAS",
    "CODECS",
    "DATASETS",
    "DATA_SAMPLERS",
    "EVALUATOR",
    "EVALUATORS",
    "FUNCTIONS",
    "HOOKS",
    "INFERENCERS",
    "KEYPOINT_CODECS",
    "LOG_PROCESSORS",
    "LOOPS",
    "METRICS",
    "MODELS",
    "MODEL_WRAPPERS",
    "OPTIMIZERS",
    "OPTIM_WRAPPERS",
    "OPTIM_WRAPPER_CONSTRUCTORS",
    "PARAM_SCHEDULERS",
    "RUNNERS",
    "RUNNER_CONSTRUCTORS",
    "Registry",
    "TASK_UTILS",
    "TRANSFORMS",
    "VISBACKENDS",
    "VISUALIZERS",
    "WEIGHT_INITIALIZERS",
    "allow_imports",
    "allowed_imports",
    "current_scope",
    "init_default_scope",
    "use_scope",
]
