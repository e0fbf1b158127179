"""Animals and insects."""

from __future__ import annotations

from poise.schemas.parts import BODY, BODY_LINKS, BODY_SIGMAS, BODY_WEIGHTS
from poise.schemas.schema import Schema

__all__ = ["SCHEMAS"]

SCHEMAS: dict[str, Schema] = {
    "ak": Schema(
        "Animal Kingdom",
        "ak",
        points="""
            upper e100ff dc143c 00ffff 00ff2a dda0dd 87cefa 32cd32 ffb6c1: Head_Mid_Top,
                Eye_Left, Eye_Right, Mouth_Front_Top, Mouth_Back_Left, Mouth_Back_Right,
                Mouth_Front_Bottom, Shoulder_Left
            upper 00bfff ff69b4 1e90ff ff1493 0000ff b903dd: Shoulder_Right, Elbow_Left,
                Elbow_Right, Wrist_Left, Wrist_Right, Torso_Mid_Back
            lower ffd700 9370db ffa500 8a2be2 ff8c00 800080 00fbff 20b2aa: Hip_Left, Hip_Right,
                Knee_Left, Knee_Right, Ankle_Left, Ankle_Right, Tail_Top_Back, Tail_Mid_Back
            lower 006666: Tail_End_Back
            """,
        links="""
            dc143c 00ffff: Eye_Left > Head_Mid_Top, Eye_Right > Head_Mid_Top
            dda0dd 87cefa: Mouth_Front_Top > Mouth_Back_Left,
                Mouth_Front_Top > Mouth_Back_Right, Mouth_Front_Bottom > Mouth_Back_Left,
                Mouth_Front_Bottom > Mouth_Back_Right
            e100ff b903dd 00fbff 20b2aa ffb6c1 00bfff ff69b4 1e90ff:
                Head_Mid_Top > Torso_Mid_Back > Tail_Top_Back > Tail_Mid_Back > Tail_End_Back,
                Head_Mid_Top > Shoulder_Left, Head_Mid_Top > Shoulder_Right,
                Shoulder_Left > Elbow_Left, Shoulder_Right > Elbow_Right
            ff1493 0000ff ffd700 9370db ffa500 8a2be2 ff8c00 800080: Elbow_Left > Wrist_Left,
                Elbow_Right > Wrist_Right, Tail_Top_Back > Hip_Left, Tail_Top_Back > Hip_Right,
                Hip_Left > Knee_Left, Hip_Right > Knee_Right, Knee_Left > Ankle_Left,
                Knee_Right > Ankle_Right
            """,
        sigmas="0.025*23",
    ),
    "animalpose": Schema(
        "animalpose",
        "animalpose",
        points="""
            upper green orange: L_Eye, R_Eye, L_EarBase, R_EarBase
            upper blue: Nose, Throat
            lower blue: TailBase
            upper blue green orange: Withers, L_F_Elbow, R_F_Elbow
            lower green orange: L_B_Elbow, R_B_Elbow
            upper green orange: L_F_Knee, R_F_Knee
            lower green orange: L_B_Knee, R_B_Knee
            upper green orange: L_F_Paw, R_F_Paw
            lower green orange: L_B_Paw, R_B_Paw
            """,
        links="""
            blue: L_Eye > R_Eye
            green orange: L_Eye > L_EarBase, R_Eye > R_EarBase, L_Eye > Nose, R_Eye > Nose
            blue: Nose > Throat > Withers, TailBase > Withers
            green: Throat > L_F_Elbow > L_F_Knee > L_F_Paw
            orange: Throat > R_F_Elbow > R_F_Knee > R_F_Paw
            green: TailBase > L_B_Elbow > L_B_Knee > L_B_Paw
            orange: TailBase > R_B_Elbow > R_B_Knee > R_B_Paw
            """,
        weights="1*12 1.2*4 1.5*4",
        sigmas="0.025*2 0.026 0.035*2 0.1*3 0.107*4 0.087*4 0.089*4",
    ),
    "ap10k": Schema(
        "ap10k",
        "ap10k",
        points="""
            upper green orange: L_Eye, R_Eye
            upper blue: Nose, Neck
            lower blue: Root of tail
            upper blue: L_Shoulder, L_Elbow
            upper green: L_F_Paw, R_Shoulder
            upper orange: R_Elbow
            lower green: R_F_Paw
            lower orange: L_Hip, L_Knee
            lower green: L_B_Paw, R_Hip, R_Knee, R_B_Paw
            """,
        links="""
            0000ff: L_Eye > R_Eye, L_Eye > Nose, R_Eye > Nose
            green: Nose > Neck > Root of tail
            00ffff: Neck > L_Shoulder > L_Elbow > L_F_Paw
            069cfa: Neck > R_Shoulder > R_Elbow > R_F_Paw
            00ffff: Root of tail > L_Hip > L_Knee > L_B_Paw
            069cfa: Root of tail > R_Hip > R_Knee > R_B_Paw
            """,
        weights=BODY_WEIGHTS,
        sigmas="""
        0.025*2 0.026 0.035*2 0.079 0.072 0.062 0.079 0.072 0.062 0.107 0.087 0.089 0.107 0.087
        0.089
        """,
    ),
    "atrw": Schema(
        "atrw",
        "atrw",
        points="""
            upper blue: left_ear, right_ear, nose
            upper orange: right_shoulder, right_front_paw
            upper green: left_shoulder, left_front_paw
            lower orange: right_hip, right_knee, right_back_paw
            lower green: left_hip, left_knee, left_back_paw
            lower blue: tail, center
            """,
        links="""
            blue: left_ear > nose, right_ear > nose > center
            green: left_shoulder > left_front_paw, left_shoulder > center
            orange: right_shoulder > right_front_paw, right_shoulder > center
            blue: tail > center
            orange: right_back_paw > right_knee > right_hip > tail
            green: left_back_paw > left_knee > left_hip > tail
            """,
        sigmas="""
        0.0277 0.0823 0.0831 0.0202 0.0716 0.0263 0.0646 0.0302 0.044 0.0316 0.0333 0.0547
        0.0263 0.0683 0.0539
        """,
    ),
    "fly": Schema(
        "fly",
        "fly",
        points="""
            - white: head, eyeL, eyeR, neck, thorax, abdomen, forelegR1..4, midlegR1..4,
                hindlegR1..4, forelegL1..4, midlegL1..4, hindlegL1..4, wingL, wingR
            """,
        links="""
            white: eyeL > head, eyeR > head, neck > head, thorax > neck, abdomen > thorax,
                forelegR2 > forelegR1, forelegR3 > forelegR2, forelegR4 > forelegR3,
                midlegR2 > midlegR1, midlegR3 > midlegR2, midlegR4 > midlegR3,
                hindlegR2 > hindlegR1, hindlegR3 > hindlegR2, hindlegR4 > hindlegR3,
                forelegL2 > forelegL1, forelegL3 > forelegL2, forelegL4 > forelegL3,
                midlegL2 > midlegL1, midlegL3 > midlegL2, midlegL4 > midlegL3,
                hindlegL2 > hindlegL1, hindlegL3 > hindlegL2, hindlegL4 > hindlegL3, wingL > neck,
                wingR > neck
            """,
    ),
    "horse10": Schema(
        "horse10",
        "horse10",
        points="""
            upper pink: Nose, Eye
            upper ff66ff: Nearknee, Nearfrontfetlock, Nearfrontfoot, Offknee, Offfrontfetlock,
                Offfrontfoot
            upper pink: Shoulder, Midshoulder, Elbow, Girth, Wither
            lower ff33ff: Nearhindhock, Nearhindfetlock, Nearhindfoot
            lower pink: Hip, Stifle
            lower ff33ff: Offhindhock, Offhindfetlock, Offhindfoot
            lower pink: Ischium
            """,
        links="""
            pink: Nose > Eye > Wither > Hip > Ischium > Stifle > Girth > Elbow > Shoulder >
                Midshoulder > Wither
            ff66ff: Nearknee > Nearfrontfetlock > Nearfrontfoot,
                Offknee > Offfrontfetlock > Offfrontfoot
            ff33ff: Nearhindhock > Nearhindfetlock > Nearhindfoot,
                Offhindhock > Offhindfetlock > Offhindfoot
            """,
    ),
    "locust": Schema(
        "locust",
        "locust",
        points="""
            - white: head, neck, thorax, abdomen1, abdomen2, anttipL, antbaseL, eyeL,
                forelegL1..4, midlegL1..4, hindlegL1..4, anttipR, antbaseR, eyeR, forelegR1..4,
                midlegR1..4, hindlegR1..4
            """,
        links="""
            white: neck > head, thorax > neck, abdomen1 > thorax, abdomen2 > abdomen1,
                antbaseL > anttipL, eyeL > antbaseL, forelegL2 > forelegL1, forelegL3 > forelegL2,
                forelegL4 > forelegL3, midlegL2 > midlegL1, midlegL3 > midlegL2,
                midlegL4 > midlegL3, hindlegL2 > hindlegL1, hindlegL3 > hindlegL2,
                hindlegL4 > hindlegL3, antbaseR > anttipR, eyeR > antbaseR, forelegR2 > forelegR1,
                forelegR3 > forelegR2, forelegR4 > forelegR3, midlegR2 > midlegR1,
                midlegR3 > midlegR2, midlegR4 > midlegR3, hindlegR2 > hindlegR1,
                hindlegR3 > hindlegR2, hindlegR4 > hindlegR3
            """,
    ),
    "macaque": Schema(
        "macaque",
        "macaque",
        points=BODY,
        links=BODY_LINKS,
        weights=BODY_WEIGHTS,
        sigmas=BODY_SIGMAS,
    ),
    "zebra": Schema(
        "zebra",
        "locust",
        points="""
            - white: snout, head, neck, forelegL1, forelegR1, hindlegL1, hindlegR1, tailbase,
                tailtip
            """,
        links="""
            white: head > snout, neck > head, forelegL1 > neck, forelegR1 > neck,
                hindlegL1 > tailbase, hindlegR1 > tailbase > neck, tailtip > tailbase
            """,
    ),
}
