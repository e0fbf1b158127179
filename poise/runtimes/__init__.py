"""Exported networks behind one call: arrays in, arrays out, without torch."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "lanes": "Lanes available_cores chosen_threads",
        "mmdeploy": "Levels read_detail read_pipeline",
        "metadata": "METADATA_FILE METADATA_KEY read_metadata",
        "mobile": "LiteRtSession NcnnSession",
        "sessions": "RUNTIMES OnnxRuntimeSession OpenVinoSession Session Signature is_exported_name"
        " open_onnx open_session runtime_of",
    },
)
