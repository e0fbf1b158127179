"""What a run says of itself.

Scalars gather in `message_hub`, `log_processor` averages and prints them, `scalars` hands them to
files and services, `console` opens the log.
"""
