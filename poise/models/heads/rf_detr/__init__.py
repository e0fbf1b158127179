"""RF-DETR with keypoints: queries are people, each of which has queries of its keypoints.

`decoder` looks at maps, `head` proposes people and predicts, `people` reads what was predicted.
"""
