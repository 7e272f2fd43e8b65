"""Submit projects of any tool, with the API's own fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_magichour.operators.tool import ToolOperator

# What api.tool_rows.top_level_fields() returns: a DAG file that imports this must not load the rows at each parse.
FIELDS = """
    aspect_ratio assets audio content duration end_seconds fps fps_resolution height image_count
    max_fps_limit max_resolution model orientation output_format references resolution scale_factor
    script start_seconds style target_language width
""".split()


class MagicHourGenerateOperator(ToolOperator):
    """Submit a project of any of Magic Hour's tools. It costs credits and is paid for once.

    Takes the API's own fields by name: ``assets={...}``, ``style={...}``, ``end_seconds=...`` and so on, each templated
    at any depth; None in them means "not sent", and numbers and booleans may be text. Required fields are checked
    before anything is sent. Local files and files in object storage are uploaded first, wherever the tool takes one. On
    Airflow 3.3 the submission is remembered in the task state store, so that after a retry, a crash or a clear the task
    finds its project instead of paying for another. Returns the project id, or with ``wait_for_completion`` the
    finished project as a dict; pushes ``project_id``, ``credits_charged`` and ``kind`` as soon as the API has answered.
    Killing the task leaves the project running and paid: the API cannot cancel. Leaves behind: the record
    ``magichour_submission`` in the task state store, which never expires, and uploads, which Magic Hour keeps for 7
    days (inputs and outputs page, 2026-08-22).

    Fields that this version does not know go into ``extra_body``.

    :param tool: last part of the path of the API's endpoint, such as ``text-to-video``. (templated)
    """

    arguments: Mapping[str, str] = {name: name for name in FIELDS}
    template_fields: Sequence[str] = ("tool",)

    def __init__(self, *, tool: str, **kwargs: Any) -> None:
        from airflow_provider_magichour.api.tool_rows import top_level_fields

        # Only given fields are shown among the rendered ones.
        self.arguments = {name: name for name in top_level_fields() if name in kwargs}
        declared = [name for name in type(self).template_fields if name not in type(self).arguments]
        self.template_fields = (*declared, *self.arguments)
        renderers = type(self).template_fields_renderers.items()
        shown = {name: how for name, how in renderers if name in self.template_fields}
        self.template_fields_renderers = shown  # type: ignore[misc]
        try:
            super().__init__(**kwargs)
        except TypeError as error:
            if "Invalid arguments" not in str(error):
                raise
            raise TypeError(
                f"{error}\nPut a field of the API that this version does not know into extra_body."
            ) from None
        self.tool = tool
