"""Each format read back by trimesh, VTK or SimpleITK, which had no part in writing it."""

import json
import struct
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import pyvista as pv
import SimpleITK as sitk
import trimesh

from impulse_nnunet.io.label_maps import read_label_map
from impulse_nnunet.outputs.cases import read_segments
from impulse_nnunet.outputs.formats import FORMATS, Content
from impulse_nnunet.outputs.names import LabelNames
from tests.outputs.shapes import DIRECTIONS, FLIPPED, OBLIQUE, grid_of, save, two_boxes

NAMES = LabelNames(names={1: "right S1+2 <a>", 4: "left S4"}, lobes={"l": (1, 4)})
SPACING_MM, ORIGIN = (0.7, 0.8, 2.5), (-20, 30, 400)
# 2 and 3 slices of 5 x 5 voxels of 0.7 x 0.8 x 2.5 mm
VOLUMES_MM3 = {1: 2 * 25 * 1.4, 4: 3 * 25 * 1.4}
TURNED = np.array([-1, -1, 1])


def content(folder, space="LPS", direction=OBLIQUE @ FLIPPED, smooth_mm=0):
    labels = two_boxes()
    path = save(folder / "in" / "case.nrrd", labels, grid_of(labels.shape, SPACING_MM, direction, ORIGIN))
    return Content(case="case", segments=read_segments(path, NAMES), smooth_mm=smooth_mm, space=space)


def corner(direction=OBLIQUE @ FLIPPED):
    """Corner of label 1: where voxel (1, 2, 1), (x, y, z), begins, in LPS."""
    return direction @ (np.array([0.5, 1.5, 0.5]) * SPACING_MM) + ORIGIN


def check(mesh, label, space="LPS"):
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(VOLUMES_MM3[label], rel=1e-4)
    if label == 1:
        turned = corner() * (TURNED if space == "RAS" else 1)
        assert np.linalg.norm(mesh.vertices - turned, axis=1).min() < 1e-3


def written(tmp_path, form, **more):
    shown = content(tmp_path, **more)
    return FORMATS[form](shown, tmp_path / "out"), shown


@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_stl(tmp_path, space):
    files, _ = written(tmp_path, "stl", space=space)
    assert [str(file.relative_to(tmp_path)) for file in files] == ["out/case/right_S1+2_a.stl", "out/case/left_S4.stl"]
    for file, label in zip(files, (1, 4), strict=True):
        check(trimesh.load_mesh(file), label, space)
        assert file.read_bytes()[:80].startswith(f"SPACE={space} UNIT=mm ".encode())
    stored = pv.read(files[1])
    normals = stored.compute_normals(cell_normals=True, point_normals=False, consistent_normals=False)
    outside = normals.cell_centers().points - stored.center
    assert (np.einsum("ij,ij->i", outside, normals.cell_data["Normals"]) > 0).all()


@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_obj(tmp_path, space):
    (path, materials), shown = written(tmp_path, "obj", space=space)
    loaded = trimesh.load_scene(path, split_objects=True, group_material=False)
    assert set(loaded.geometry) == {"right_S1+2_a", "left_S4"}
    for name, label in (("right_S1+2_a", 1), ("left_S4", 4)):
        check(loaded.geometry[name], label, space)
    head = path.read_text().splitlines()
    assert head[:2] == [f"# SPACE={space}", "# UNIT=mm"]
    assert "# right S1+2 <a>" in head
    red, green, blue = shown.style.colour(4)
    assert f"newmtl left_S4\nKd {red:.4f} {green:.4f} {blue:.4f}" in materials.read_text()


@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_glb(tmp_path, space):
    (path,), shown = written(tmp_path, "glb", space=space)
    loaded = trimesh.load_scene(path)
    assert set(loaded.geometry) == {"right S1+2 <a>", "left S4"}
    for name, label in (("right S1+2 <a>", 1), ("left S4", 4)):
        check(loaded.geometry[name], label, space)
    # in metres, the left to x, the head to y, the front to z, whatever the space
    left, back, head = corner() / 1000
    placed = loaded.to_geometry()
    assert np.linalg.norm(placed.vertices - (left, head, -back), axis=1).min() < 1e-6
    assert placed.volume == pytest.approx(sum(VOLUMES_MM3.values()) * 1e-9, rel=1e-4)
    # a colour in sRGB bytes comes back from its linear factor
    linear = np.array(loaded.geometry["left S4"].visual.material.baseColorFactor[:3]) / 255
    expected = ((np.array(shown.style.colour(4)) + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(linear, expected, atol=0.004)


def test_glb_is_as_the_specification_has_it(tmp_path):
    (path,), _ = written(tmp_path, "glb")
    stored = path.read_bytes()
    magic, version, length, words, kind = struct.unpack("<4sIII4s", stored[:20])
    assert (magic, version, length, kind) == (b"glTF", 2, len(stored), b"JSON")
    assert words % 4 == 0
    text = json.loads(stored[20 : 20 + words])
    binary, kind = struct.unpack("<I4s", stored[20 + words : 28 + words])
    assert (binary, kind) == (text["buffers"][0]["byteLength"], b"BIN\0")
    assert 28 + words + binary == len(stored)
    assert text["nodes"][0]["extras"]["space"] == "LPS"
    assert text["nodes"][0]["extras"]["unit"] == "mm"
    assert [node["extras"]["label"] for node in text["nodes"][1:]] == [1, 4]


@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_three_mf(tmp_path, space):
    (path,), shown = written(tmp_path, "3mf", space=space)
    loaded = trimesh.load_scene(path)
    assert loaded.units in ("millimeter", "mm", "millimeters")
    meshes = loaded.dump() if isinstance(loaded, trimesh.Scene) else [loaded]
    assert len(meshes) == 2
    for mesh in meshes:
        check(mesh, 1 if mesh.volume < 100 else 4, space)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        root = ElementTree.fromstring(archive.read("3D/3dmodel.model"))
    core = "{http://schemas.microsoft.com/3dmanufacturing/core/2015/02}"
    assert root.get("unit") == "millimeter"
    names = [item.get("name") for item in root.iter(f"{core}object")]
    assert names == ["right S1+2 <a>", "left S4", "case"]
    red, green, blue = (round(255 * value) for value in shown.style.colour(4))
    assert [base.get("displaycolor") for base in root.iter(f"{core}base")][1] == f"#{red:02X}{green:02X}{blue:02X}"
    described = {item.get("name"): item.text for item in root.iter(f"{core}metadata")}
    assert f"SPACE={space} UNIT=mm" in described["Description"]
    assert len(list(root.iter(f"{core}item"))) == 1


@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_vtp(tmp_path, space):
    (path,), _ = written(tmp_path, "vtp", space=space)
    mesh = pv.read(path)
    assert list(mesh.field_data["SPACE"]) == [space]
    assert list(mesh.field_data["UNIT"]) == ["mm"]
    assert list(mesh.field_data["labels"]) == [1, 4]
    assert list(mesh.field_data["names"]) == ["right S1+2 <a>", "left S4"]
    for label in (1, 4):
        part = mesh.extract_cells(mesh.cell_data["label"] == label).extract_surface(algorithm="dataset_surface")
        faces = part.regular_faces
        check(trimesh.Trimesh(part.points, faces, process=False), label, space)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_seg_nrrd_comes_back_where_it_was(tmp_path, direction, kind):
    labels = two_boxes().astype(kind) * (100 if kind == np.uint16 else 1)
    grid = grid_of(labels.shape, (1 / 3, 0.8, 2.5), direction, (-20.123456789, 30, 400))
    source = save(tmp_path / "in" / "case.mha", labels, grid)
    (path,) = FORMATS["seg.nrrd"](Content(case="case", segments=read_segments(source, LabelNames())), tmp_path / "out")
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), labels)
    np.testing.assert_allclose(image.GetSpacing(), grid.spacing_mm, rtol=1e-15)
    np.testing.assert_array_equal(image.GetOrigin(), grid.origin)
    np.testing.assert_allclose(image.GetDirection(), grid.direction.ravel(), atol=1e-12)
    again = read_label_map(path)
    np.testing.assert_allclose(again.grid.to_world, grid.to_world, atol=1e-9)


def header_of(path):
    """Fields and key/value pairs of a NRRD head, by its definition (https://teem.sourceforge.net/nrrd/format.html)."""
    lines = path.read_bytes().split(b"\n\n", 1)[0].decode().splitlines()
    assert lines[0].startswith("NRRD000")
    fields, keys = {}, {}
    for line in lines[1:]:
        if ":=" in line:
            key, value = line.split(":=", 1)
            keys[key] = value
        elif not line.startswith("#"):
            key, value = line.split(": ", 1)
            fields[key] = value
    return fields, keys


def test_seg_nrrd_says_what_slicer_asks(tmp_path):
    (path,), shown = written(tmp_path, "seg.nrrd")
    fields, keys = header_of(path)
    assert fields["space"] == "left-posterior-superior"
    assert fields["sizes"] == "8 9 7"
    assert keys["Segmentation_ContainedRepresentationNames"] == "Binary labelmap|"
    assert keys["Segmentation_MasterRepresentation"] == keys["Segmentation_SourceRepresentation"] == "Binary labelmap"
    assert keys["Segmentation_ReferenceImageExtentOffset"] == "0 0 0"
    first, second = (
        {key[len(f"Segment{n}_") :]: v for key, v in keys.items() if key.startswith(f"Segment{n}_")} for n in (0, 1)
    )
    assert (first["Name"], second["Name"]) == ("right S1+2 <a>", "left S4")
    assert (first["LabelValue"], second["LabelValue"]) == ("1", "4")
    assert (first["Layer"], second["Layer"]) == ("0", "0")
    assert first["ID"] != second["ID"]
    # label 1: x 1 to 5, y 2 to 6, z 1 to 2, both ends included
    assert first["Extent"] == "1 5 2 6 1 2"
    np.testing.assert_allclose([float(v) for v in second["Color"].split()], shown.style.colour(4), atol=1e-6)
    context, category, *_ = second["Tags"].split("TerminologyEntry:")[1].split("~")
    assert context.startswith("Segmentation category and type")
    assert category == "SCT^123037004^Anatomical Structure"


@pytest.mark.parametrize(
    ("name", "kind", "modifier"),
    [
        ("left upper lobe", "SCT^45653009^Upper lobe of lung", "SCT^7771000^Left"),
        ("lung_lower_lobe_right", "SCT^90572001^Lower lobe of lung", "SCT^24028007^Right"),
        ("RML", "SCT^72481006^Middle lobe of right lung", "^^"),
        ("lung_left", "SCT^39607008^Lung", "SCT^7771000^Left"),
        ("right S1", "^^", "^^"),
        ("spleen", "^^", "^^"),
    ],
)
def test_codes(tmp_path, name, kind, modifier):
    from impulse_nnunet.outputs.seg_nrrd import terms_of

    assert terms_of(name).split("~")[2:4] == [kind, modifier]


def test_only_what_is_asked_for(tmp_path):
    shown = content(tmp_path)
    chosen = read_segments(shown.segments.label_map.path, NAMES, (4,))
    only = Content(case="case", segments=chosen, smooth_mm=0)
    (path,) = FORMATS["seg.nrrd"](only, tmp_path / "out")
    assert set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))) == {0, 4}
    assert [file.name for file in FORMATS["stl"](only, tmp_path / "out")] == ["left_S4.stl"]


def test_trees_are_further_parts_and_layers(tmp_path):
    shown = content(tmp_path)
    tree = np.zeros(shown.segments.label_map.labels.shape, bool)
    tree[2:5, 3, 2:4] = True  # in both labels
    shown = replace(shown, trees={"airway": tree, "vein": np.zeros_like(tree)})
    (path,) = FORMATS["glb"](shown, tmp_path / "out")
    loaded = trimesh.load_scene(path)
    assert set(loaded.geometry) == {"right S1+2 <a>", "left S4", "airway"}
    assert loaded.geometry["airway"].volume == pytest.approx(6 * 1.4, rel=1e-4)
    assert "airway.stl" in [file.name for file in FORMATS["stl"](shown, tmp_path / "out")]
    (path,) = FORMATS["seg.nrrd"](shown, tmp_path / "out")
    fields, keys = header_of(path)
    assert (fields["kinds"], fields["sizes"]) == ("list domain domain domain", "3 8 9 7")
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    np.testing.assert_array_equal(found[..., 0], shown.segments.label_map.labels)
    np.testing.assert_array_equal(found[..., 1], tree)
    assert (keys["Segment2_Name"], keys["Segment2_Layer"], keys["Segment2_LabelValue"]) == ("airway", "1", "1")
    assert keys["Segment2_Extent"] == "2 3 3 3 2 4"
    assert (keys["Segment3_Name"], keys["Segment3_Layer"], keys["Segment3_Extent"]) == ("vein", "2", "0 -1 0 -1 0 -1")
    assert len({keys[f"Segment{number}_ID"] for number in range(4)}) == 4
