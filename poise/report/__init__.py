"""What a run was: its log read back, curves, worst and best samples, one page of HTML."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "cases": "CaseBook KeypointScores",
        "curves": "draw_curves",
        "evaluation": "Examination examination_lines",
        "evaluation_page": "write_evaluation_page",
        "logs": "RunLog read_run",
        "page": "write_page",
    },
)
