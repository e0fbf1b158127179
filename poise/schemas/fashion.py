"""Clothes."""

from __future__ import annotations

from poise.schemas.schema import Schema

__all__ = ["SCHEMAS"]

SCHEMAS: dict[str, Schema] = {
    "deepfashion2": Schema(
        "deepfashion2",
        "deepfashion2",
        points="""
            - orange: sss_kpt1..25
            - ff0080: lss_kpt1..33
            - 8000ff: sso_kpt1..31
            - 0080ff: lso_kpt1..39
            - 008080: vest_kpt1..15
            - 000080: sling_kpt1..15
            - 808080: shorts_kpt1..10
            - 800080: trousers_kpt1..14
            - 408080: skirt_kpt1..8
            - 404080: ssd_kpt1..29
            - 804000: lsd_kpt1..37
            - 8040ff: vd_kpt1..19
            - 804000: sd_kpt1..19
            swap sss_kpt: 2 6 2, 7 25 9
            swap lss_kpt: 2 6 2, 7 33 13
            swap sso_kpt: 2 26 1, 3 5 1, 4 6 1, 7 25 9, 16 29 1, 27 30 1, 28 31 1
            swap lso_kpt: 2 6 2, 4 34 1, 7 33 13, 20 37 1, 35 38 1, 36 39 1
            swap vest_kpt: 2 6 2, 7 15 2, 10 12 1
            swap sling_kpt: 2 6 2, 7 15 4
            swap shorts_kpt: 1 3 1, 4 10 3
            swap trousers_kpt: 1 3 1, 4 14 5
            swap skirt_kpt: 1 3 1, 4 8 2
            swap ssd_kpt: 2 6 2, 7 29 11
            swap lsd_kpt: 2 6 2, 7 37 15
            swap vd_kpt: 2 6 2, 7 19 6
            swap sd_kpt: 2 6 2, 7 19 6
            """,
        links="""
            orange: sss_kpt1 > sss_kpt2 > sss_kpt7..25 > sss_kpt6 > sss_kpt1, sss_kpt2..6
            ff0080: lss_kpt1 > lss_kpt2 > lss_kpt7..33 > lss_kpt6..2, lss_kpt6 > lss_kpt1
            8000ff: sso_kpt1 > sso_kpt4 > sso_kpt7..16 > sso_kpt31 > sso_kpt30 > sso_kpt2..4,
                sso_kpt1 > sso_kpt6 > sso_kpt25..17 > sso_kpt29..26 > sso_kpt5 > sso_kpt6
            0080ff: lso_kpt1 > lso_kpt2 > lso_kpt7..20 > lso_kpt39 > lso_kpt38 > lso_kpt4..2,
                lso_kpt1 > lso_kpt6 > lso_kpt33..21 > lso_kpt37..34 > lso_kpt5 > lso_kpt6
            008080: vest_kpt1 > vest_kpt2 > vest_kpt7..15 > vest_kpt6 > vest_kpt1, vest_kpt2..6
            000080: sling_kpt1 > sling_kpt2 > sling_kpt8..14 > sling_kpt6,
                sling_kpt2 > sling_kpt7, sling_kpt6 > sling_kpt15, sling_kpt2..6,
                sling_kpt1 > sling_kpt6
            808080: shorts_kpt1 > shorts_kpt4..10 > shorts_kpt3..1
            800080: trousers_kpt1 > trousers_kpt4..14 > trousers_kpt3..1
            408080: skirt_kpt1 > skirt_kpt4..8 > skirt_kpt3..1
            404080: ssd_kpt1 > ssd_kpt2 > ssd_kpt7..29 > ssd_kpt6..2, ssd_kpt6 > ssd_kpt1
            804000: lsd_kpt1 > lsd_kpt2 > lsd_kpt7..37 > lsd_kpt6..2, lsd_kpt6 > lsd_kpt1
            8040ff: vd_kpt1 > vd_kpt2 > vd_kpt7..19 > vd_kpt6..2, vd_kpt6 > vd_kpt1
            804000: sd_kpt1 > sd_kpt2 > sd_kpt8..18 > sd_kpt6..2 > sd_kpt7, sd_kpt6 > sd_kpt19,
                sd_kpt6 > sd_kpt1
            """,
    ),
    "deepfashion_full": Schema(
        "deepfashion_full",
        "deepfashion_full",
        points="""
            - white: left collar, right collar, left sleeve, right sleeve, left waistline,
                right waistline, left hem, right hem
            """,
    ),
    "deepfashion_lower": Schema(
        "deepfashion_lower",
        "deepfashion_full",
        points="- white: left waistline, right waistline, left hem, right hem",
    ),
    "deepfashion_upper": Schema(
        "deepfashion_upper",
        "deepfashion_full",
        points="- white: left collar, right collar, left sleeve, right sleeve, left hem, right hem",
    ),
}
