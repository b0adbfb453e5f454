"""How frames get in and pictures out: OpenCV with GStreamer and FFmpeg, cameras."""

import re

from br2net.doctor.finding import Finding, fails, missing, unused, works
from br2net.doctor.gpu import one_line
from br2net.doctor.machine import Machine

_ARGUS = "/tmp/argus_socket"


def check_opencv(machine: Machine) -> list[Finding]:
    """OpenCV, and whether it was built with FFmpeg, GStreamer and windows."""
    try:
        cv2 = machine.load("cv2")
        build = cv2.getBuildInformation()
    except ModuleNotFoundError:
        return [missing("OpenCV", "not installed", "pip install opencv-python")]
    except (ImportError, AttributeError) as error:
        line = (
            "sudo apt install libgl1 libglib2.0-0"
            if "lib" in str(error)
            else "pip install --force-reinstall opencv-python"
        )
        return [fails("OpenCV", f"it does not load ({one_line(error)})", line)]
    ffmpeg, gstreamer, windows = (_built_with(build, name) for name in ("FFMPEG", "GStreamer", "GUI"))
    mend = "pip install --force-reinstall opencv-python"
    return [
        works("OpenCV", f"{cv2.__version__}, {f'windows by {windows}' if windows else 'no windows (--show)'}"),
        works("FFmpeg", "in OpenCV: video files, RTSP and HTTP streams are read")
        if ffmpeg
        else missing("FFmpeg", "OpenCV has none, so it reads no video files or streams", mend),
        _gstreamer(machine, gstreamer),
    ]


def _built_with(build: str, name: str) -> str:
    """What OpenCV's build information says of a part: its version or name, empty for NO."""
    found = re.search(rf"^\s*{name}:\s*(.*?)\s*$", build, re.MULTILINE)
    text = found[1] if found else "NO"
    return "" if text.startswith(("NO", "NONE")) else text.removeprefix("YES").strip(" ()") or "yes"


def _gstreamer(machine: Machine, version: str) -> Finding:
    """Only CSI cameras and pipelines of the user's own need GStreamer."""
    if version:
        return works("GStreamer", f"in OpenCV, {version}")
    detail = "OpenCV has none; only csi:// cameras and GStreamer pipelines need it"
    if machine.jetson():
        return missing("GStreamer", detail, "pip uninstall opencv-python && sudo apt install python3-opencv")
    return unused("GStreamer", detail)


def check_cameras(machine: Machine) -> list[Finding]:
    """Cameras of the system, and the service of a Jetson's CSI cameras."""
    findings, names = [], []
    for path in machine.glob("/dev", "video[0-9]*"):
        node = path.removeprefix("/dev/")
        if (machine.read(f"/sys/class/video4linux/{node}/index") or "0") != "0":
            continue  # a second node of the same camera, of metadata
        name = machine.read(f"/sys/class/video4linux/{node}/name") or "unnamed"
        if machine.may_use(path):
            names.append(f"{path} ({name})")
        else:
            line = "sudo usermod -aG video $USER, then log in again"
            findings.append(fails("camera", f"{path} ({name}): this user may not use it", line))
    if names:
        findings.append(works("camera", ", ".join(names)))
    elif not findings:
        findings.append(unused("camera", "none at /dev/video*; streams, files and folders work as sources"))
    if machine.jetson():
        if machine.exists(_ARGUS):
            findings.append(works("CSI cameras", "nvargus-daemon runs"))
        else:
            line = "sudo systemctl restart nvargus-daemon"
            mend = "docker run -v /tmp/argus_socket:/tmp/argus_socket …" if machine.exists("/.dockerenv") else line
            findings.append(missing("CSI cameras", "nvargus-daemon does not run", mend))
    return findings
