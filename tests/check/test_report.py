"""Findings and reports."""

from __future__ import annotations

import json

from poise.check import Finding, Report

NOTE = Finding("note", "course", "a note")
ERROR = Finding("error", "data", "gone", "data.json", expected="4", found="3", fix="x=4")


def test_the_gravest_come_first_and_each_once():
    report = Report([NOTE, ERROR, NOTE])
    assert [finding.level for finding in report] == ["error", "note"]
    assert report.errors == [ERROR]
    assert not report.fits
    assert report.summary == "1 error, 0 warnings, 1 note"


def test_a_report_reads_as_text():
    text = str(Report([NOTE, ERROR]))
    assert text.splitlines() == [
        "error: data.json: gone",
        "  expected 4, found 3",
        "  -> x=4",
        "note: a note",
        "1 error, 0 warnings, 1 note",
    ]


def test_a_config_alone_is_sound():
    assert Report([], ["config"]).summary == "the config is sound: 0 errors, 0 warnings, 0 notes"


def test_without_errors_it_says_what_fits():
    report = Report([NOTE], ["config", "data", "checkpoint"], 1.234)
    assert report.fits
    assert report.summary.startswith("config, data and checkpoint fit together: 0 errors")
    assert json.loads(report.to_json()) == {
        "fits": True,
        "errors": 0,
        "warnings": 0,
        "notes": 1,
        "checked": ["config", "data", "checkpoint"],
        "seconds": 1.23,
        "findings": [
            {
                "level": "note",
                "part": "course",
                "text": "a note",
                "where": "",
                "expected": "",
                "found": "",
                "fix": "",
            }
        ],
    }
