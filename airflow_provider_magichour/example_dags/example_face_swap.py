"""One face in a video is replaced: the faces in it are found first, and of these the first one is swapped.

**Costs** 120 credits on the real API (5 s at 24 a second, prices of August 2026); face detection is free for now. A
video without a face costs nothing.

**Needs** a connection `magichour_default`, a video and an image of the new face, both where the workers can read them.
"""

from __future__ import annotations

from airflow.sdk import Param, dag, task

from airflow_provider_magichour.operators import (
    MagicHourDetectFacesOperator,
    MagicHourDownloadOperator,
    MagicHourFaceSwapOperator,
)


@dag(
    schedule=None,
    doc_md=__doc__,
    default_args={"retries": 2, "deferrable": True, "wait_for_completion": True},
    params={
        "video": Param("friends.mp4", type="string", description="a URI, or a file relative to the worker's folder"),
        "face": Param("face.jpg", type="string", description="an image of the new face"),
        "clips": Param("clips/", type="string", pattern="/$", description="a folder, relative to the worker's folder"),
    },
    tags=["magichour"],
)
def example_face_swap():
    faces = MagicHourDetectFacesOperator(task_id="faces", target="{{ params.video }}")

    @task
    def mappings(faces: list[dict[str, str]], params: dict[str, str]) -> list[dict[str, str]]:
        """Say which face becomes which: in each frame they are told from left to right."""
        return [{"original_face": face["path"], "new_face": params["face"]} for face in faces[:1]]

    # Without a face there are no mappings, and the swap is refused before it costs anything.
    swap = MagicHourFaceSwapOperator(
        task_id="swap",
        video="{{ params.video }}",
        start_seconds=0,
        end_seconds=5,
        face_swap_mode="individual-faces",
        face_mappings=mappings(faces.output),
    )
    MagicHourDownloadOperator(task_id="download", project_id=swap.output, destination="{{ params.clips }}")


example_face_swap()
