import json

from br2net.builder.engine.inspection import count_layers, mostly_fp32


def layer(kind: str, source: str, target: str) -> dict[str, object]:
    return {
        "Name": "x",
        "LayerType": kind,
        "Inputs": [{"Name": "a", "Dimensions": [1, 8, 4, 4], "Format/Datatype": source}],
        "Outputs": [{"Name": "b", "Dimensions": [1, 8, 4, 4], "Format/Datatype": target}],
    }


def text(*layers: object) -> str:
    return json.dumps({"Layers": layers, "Bindings": ["image", "blur"]})


def test_layers_count_by_their_narrowest_type() -> None:
    layers = [
        layer("CaskConvolution", "Channel major INT8 format where channel % 32 == 0", "Half"),
        layer("CaskConvolution", "Row major linear FP16 format (kLINEAR)", "Row major linear FP32"),
        layer("PointWiseV2", "Float", "Float"),
        layer("kgen", "BFloat16", "Float"),
    ]
    assert count_layers(text(*layers)) == {"bf16": 1, "fp16": 1, "fp32": 1, "int8": 1}


def test_layers_that_only_move_data_do_not_count() -> None:
    assert count_layers(text(layer("Reformat", "Float", "Half"), layer("NoOp", "Float", "Float"))) == {}


def test_layers_of_an_engine_without_details_are_unknown() -> None:
    assert count_layers(text("conv1", "conv2")) == {"unknown": 2}


def test_an_fp16_engine_of_fp32_layers_is_called_out() -> None:
    assert "5 of 7 layers" in str(mostly_fp32({"fp16": 2, "fp32": 5, "unknown": 3}, "fp16"))


def test_a_mostly_narrow_engine_and_an_fp32_engine_are_not() -> None:
    assert mostly_fp32({"fp16": 5, "fp32": 2}, "fp16") is None
    assert mostly_fp32({"fp32": 7}, "fp32") is None
