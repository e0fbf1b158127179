"""What recipes are made of, each part once: backbones, data, pipelines, codecs, schedules, runtime."""
