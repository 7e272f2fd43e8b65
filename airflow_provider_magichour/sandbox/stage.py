"""The state of one sandbox, shared by its API, its control routes and its owner."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from airflow_provider_magichour.api.tools import Kind
from airflow_provider_magichour.sandbox.faults import Faults, JobScript
from airflow_provider_magichour.sandbox.inputs import Inputs
from airflow_provider_magichour.sandbox.jobs import Job, Jobs
from airflow_provider_magichour.sandbox.recording import Requests
from airflow_provider_magichour.sandbox.settings import Settings
from airflow_provider_magichour.sandbox.studio import Studio
from airflow_provider_magichour.sandbox.uploads import Signer, Uploads


class Stage:
    """The state of one sandbox. Uploads and clips are in a temporary folder that :meth:`close` removes.

    :param settings: what can be changed at run time.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.faults = Faults()
        self.requests = Requests()
        self.jobs = Jobs(settings)
        self.signer = Signer()
        self._folder = tempfile.TemporaryDirectory(prefix="magichour-sandbox-")
        self.uploads = Uploads(Path(self._folder.name))
        self.studio = Studio(Path(self._folder.name), Inputs(self.uploads, self.jobs.result_of))

    def close(self) -> None:
        """Abandon what is being rendered, and remove all files."""
        self.studio.close()
        self._folder.cleanup()

    def close_idle_connections(self) -> None:
        """Close the connections that wait for a next request; a stage has none."""

    def add_job(
        self,
        kind: Kind = "video",
        *,
        name: str = "Sandbox",
        price: int = 0,
        outputs: int = 1,
        script: JobScript | dict[str, Any] | None = None,
    ) -> Job:
        """Create a job without a request.

        :param kind: ``video``, ``image`` or ``audio``.
        :param name: its name.
        :param price: what is charged, in credits.
        :param outputs: how many downloads it has when it is complete.
        :param script: how it goes.
        """
        script = JobScript(**script) if isinstance(script, dict) else script or JobScript()
        job = Job(
            name=name,
            price=price,
            kind=kind,
            script=script,
            render_seconds=self.settings.render_seconds,
            outputs=outputs,
        )
        self.jobs.open(job)
        if script.outcome == "complete":
            self.jobs.render(job, self.studio.sample(kind))
        return job
