"""What recipes are made of: backbones, heads, data, pipelines, codecs, schedules, runtime."""
