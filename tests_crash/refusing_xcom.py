"""An XCom backend that takes no long values, of the tasks whose DAG file says so."""

from __future__ import annotations

import json
import os
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

LONGEST = "LONGEST_XCOM"


class RefusingXCom(BaseXCom):
    """Refuses values of more characters than the environment variable ``LONGEST_XCOM`` says."""

    @staticmethod
    def serialize_value(value: Any, **where: Any) -> Any:
        longest = os.environ.get(LONGEST)
        if longest and len(json.dumps(value, default=str)) > int(longest):
            raise ValueError("this XCom backend takes no values of that length")
        return BaseXCom.serialize_value(value, **where)
