"""Airflow's names, from wherever the installed packages have them.

``airflow.providers.common.compat.sdk`` hides the differences between releases of Airflow. But each release pins its own
common-compat: that of 3.0 (1.7.3) has no ``sdk`` yet, those of 3.1 to 3.3.2 (up to 1.19) have one without
``mask_secret``. What ``sdk`` lacks is taken from Airflow itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import (  # noqa: I001 -- one import, not one a name
        AirflowException as AirflowException,
        AirflowFailException as AirflowFailException,
        AirflowNotFoundException as AirflowNotFoundException,
        AirflowPlugin as AirflowPlugin,
        AirflowSensorTimeout as AirflowSensorTimeout,
        AirflowSkipException as AirflowSkipException,
        Asset as Asset,
        AssetAlias as AssetAlias,
        BaseHook as BaseHook,
        BaseOperator as BaseOperator,
        BaseOperatorLink as BaseOperatorLink,
        BaseSensorOperator as BaseSensorOperator,
        Connection as Connection,
        Context as Context,
        ObjectStoragePath as ObjectStoragePath,
        PokeReturnValue as PokeReturnValue,
        Stats as Stats,
        TaskDeferred as TaskDeferred,
        TaskInstanceKey as TaskInstanceKey,
        XCom as XCom,
        conf as conf,
        get_hook_lineage_collector as get_hook_lineage_collector,
    )
    from airflow.sdk.log import mask_secret as mask_secret

# Where to find a name that `sdk` lacks: in Airflow 3.0, except for mask_secret, which is there in all releases.
_WITHOUT_SDK = {
    "AirflowPlugin": "airflow.plugins_manager",
    "Asset": "airflow.sdk",
    "AssetAlias": "airflow.sdk",
    "BaseHook": "airflow.hooks.base",
    "BaseOperator": "airflow.sdk",
    "BaseOperatorLink": "airflow.sdk",
    "BaseSensorOperator": "airflow.sdk",
    "Connection": "airflow.sdk",
    "Context": "airflow.sdk",
    "ObjectStoragePath": "airflow.sdk",
    "PokeReturnValue": "airflow.sdk",
    "Stats": "airflow.stats",
    "TaskInstanceKey": "airflow.models.taskinstancekey",
    "XCom": "airflow.sdk.execution_time.xcom",
    "conf": "airflow.configuration",
    "get_hook_lineage_collector": "airflow.lineage.hook",
    "mask_secret": "airflow.sdk.log",
    **dict.fromkeys(
        (
            "AirflowException",
            "AirflowFailException",
            "AirflowNotFoundException",
            "AirflowSensorTimeout",
            "AirflowSkipException",
            "TaskDeferred",
        ),
        "airflow.exceptions",
    ),
}


def __getattr__(name: str) -> Any:
    place = _WITHOUT_SDK.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module("airflow.providers.common.compat.sdk"), name)
    except (ImportError, AttributeError):
        return getattr(import_module(place), name)
