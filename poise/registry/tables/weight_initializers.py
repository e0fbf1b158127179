"""Where each registered name of the kind `weight_initializers` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmengine": {
        "poise.layers.initializers": "Constant=ConstantInit Xavier=XavierInit Normal=NormalInit "
        "TruncNormal=TruncNormalInit Uniform=UniformInit Kaiming=KaimingInit "
        "Caffe2Xavier=Caffe2XavierInit",
        "poise.models.weights.pretrained": "Pretrained=PretrainedInit",
    },
}
