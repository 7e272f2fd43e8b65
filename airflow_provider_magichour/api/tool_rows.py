"""Each of Magic Hour's tools as a row: what it takes and makes, what it costs, and how long it takes.

Sources: the vendor's Python SDK 0.90.0 (2026-10-23) and the specification of 2026-08-18 for fields and conditions; the
processing times page (medians of 30 days to 2026-07-20) for ``expected``; the models page (after 2026-08-22) and the
SDK for prices. The words that a field may have are left out: they change every few weeks, and the API checks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from airflow_provider_magichour.api.capabilities import IMAGE_MODELS
from airflow_provider_magichour.api.signatures import shown
from airflow_provider_magichour.api.tools import Price, Tool, row
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

NO_EFFECT = "no longer has an effect; leave it out"
BY_IMAGE = "has no effect; the image's orientation and `resolution` decide"
QUALITY_MODE = "use `resolution`: 1080p for studio, 720p for quick"
ORIENTATION = "use `aspect_ratio`"

VIDEO_SOURCE = ("assets.video_source=file assets.video_file_path", "assets.video_source=youtube assets.youtube_url")
IMAGES = Price("image", IMAGE_MODELS, by=("model", "resolution"), of="image_count")

ROWS: tuple[Tool, ...] = (
    row(
        "ai-talking-photo video TALKING_PHOTO AI Talking Photo",
        """
        assets.audio_file_path!:audio assets.image_file_path!:image end_seconds!:positive max_resolution:integer
        resolution:word start_seconds!:number style.generation_mode:word style.intensity:number style.prompt
        """,
        expected=174,
        deprecated={"max_resolution": "use `resolution`", "style.intensity": "only the old mode expressive had it"},
        price=Price(
            "second",
            {48: ("", "realistic", "pro", "stable"), 24: ("prompted", "standard", "expressive")},
            by=("style.generation_mode",),
        ),
    ),
    row(
        "ai-ugc-ad video UGC_AD AI UGC Ad Generator",
        "assets.image_file_path!:image end_seconds!:positive model:word resolution:word script!",
        has_name=False,
    ),
    row(
        "ai-video-editor video VIDEO_EDITOR AI Video Editor",
        """
        assets.video_file_path!:video end_seconds!:positive model:word resolution:word start_seconds:number
        style.prompt!
        """,
        expected=85,
    ),
    row(
        "ai-video-translator video VIDEO_TRANSLATOR AI Video Translator",
        """
        assets.video_file_path!:video end_seconds!:positive resolution:word start_seconds:number
        target_language!:word
        """,
    ),
    row(
        "ai-video-upscaler video VIDEO_UPSCALER AI Video Upscaler",
        "assets.video_file_path!:video end_seconds!:positive resolution!:word start_seconds:number",
    ),
    row(
        "animation video ANIMATION Animation",
        """
        assets.audio_file_path:audio assets.audio_source!:word assets.image_file_path:image assets.youtube_url
        end_seconds!:positive fps!:positive height!:integer style.art_style!:word style.art_style_custom
        style.camera_effect!:word style.prompt style.prompt_type!:word style.transition_speed!:integer
        width!:integer
        """,
        expected=596,
        needs=(
            "assets.audio_source=file assets.audio_file_path",
            "assets.audio_source=youtube assets.youtube_url",
        ),
        price=Price("frame", {1: ("",)}, of="fps"),
    ),
    row(
        "audio-to-video video AUDIO_TO_VIDEO Audio-to-Video",
        """
        assets.audio_file_path!:audio assets.image_file_path:image end_seconds!:positive resolution:word
        start_seconds:number style.prompt
        """,
        expected=117,
        price=Price("second", {24: ("480p",), 48: ("", "720p"), 72: ("1080p",)}, by=("resolution",)),
    ),
    row(
        "auto-subtitle-generator video AUTO_SUBTITLE Auto Subtitle Generator",
        """
        assets.video_file_path!:video end_seconds!:positive start_seconds!:number style!:object
        style.custom_config.font style.custom_config.font_size:number style.custom_config.font_style
        style.custom_config.highlighted_text_color style.custom_config.horizontal_position
        style.custom_config.stroke_color style.custom_config.stroke_width:number style.custom_config.text_color
        style.custom_config.vertical_position style.template:word
        """,
        expected=45,
        needs=("style.template|style.custom_config",),
        price=Price("second", {4.8: ("",)}),
    ),
    row(
        "character-replace video CHARACTER_REPLACE Character Replace",
        """
        assets.image_file_path!:image assets.video_file_path!:video end_seconds!:positive model:word
        resolution:word start_seconds:number style.mode:word style.points[].position_x!:integer
        style.points[].position_y!:integer style.points[].time_seconds!:number style.selection_mode:word
        """,
        expected=446,
        needs=("style.selection_mode=point style.points",),
    ),
    row(
        "face-swap video FACE_SWAP Face Swap Video",
        """
        assets.face_mappings[].new_face!:image assets.face_mappings[].original_face!:word
        assets.face_swap_mode:word assets.image_file_path:image assets.video_file_path:video|gif
        assets.video_source!:word assets.youtube_url end_seconds!:positive height:integer start_seconds!:number
        style.version:word width:integer
        """,
        expected=96,
        needs=(
            *VIDEO_SOURCE,
            "assets.face_swap_mode=all-faces assets.image_file_path",
            "assets.face_swap_mode=individual-faces assets.face_mappings",
        ),
        deprecated={"height": NO_EFFECT, "width": NO_EFFECT},
        price=Price("second", {24: ("",)}),
    ),
    row(
        "image-to-video video IMAGE_TO_VIDEO Image-to-Video",
        """
        assets.end_image_file_path:image assets.image_file_path!:image audio:boolean end_seconds!:positive
        height:integer model:word resolution:word style.high_quality:boolean style.prompt
        style.quality_mode:word width:integer
        """,
        expected=74,
        deprecated={
            "height": BY_IMAGE,
            "style.high_quality": "use `resolution`: 1080p for true, 720p for false",
            "style.quality_mode": QUALITY_MODE,
            "width": BY_IMAGE,
        },
        has_models=True,
    ),
    row(
        "lip-sync video LIP_SYNC Lip Sync",
        """
        assets.audio_file_path!:audio assets.video_file_path:video assets.video_source!:word assets.youtube_url
        end_seconds!:positive height:integer max_fps_limit:positive start_seconds!:number
        style.generation_mode:word width:integer
        """,
        expected=229,
        needs=VIDEO_SOURCE,
        deprecated={"height": NO_EFFECT, "width": NO_EFFECT},
        price=Price(
            "frame", {1: ("", "lite", "standard"), 2: ("pro",)}, by=("style.generation_mode",), of="max_fps_limit"
        ),
    ),
    row(
        "text-to-video video TEXT_TO_VIDEO Text-to-Video",
        """
        aspect_ratio:word audio:boolean end_seconds!:positive model:word orientation:word
        references[].file_path!:image|video|audio references[].name! resolution:word style.prompt!
        style.quality_mode:word
        """,
        expected=51,
        deprecated={"orientation": ORIENTATION, "style.quality_mode": QUALITY_MODE},
        has_models=True,
    ),
    row(
        "video-to-video video VIDEO_TO_VIDEO Video-to-Video",
        """
        assets.video_file_path:video assets.video_source!:word assets.youtube_url end_seconds!:positive
        fps_resolution:word height:integer start_seconds!:number style.art_style!:word style.model:word
        style.prompt style.prompt_type:word style.version:word width:integer
        """,
        expected=772,
        needs=VIDEO_SOURCE,
        deprecated={"height": NO_EFFECT, "width": NO_EFFECT},
        price=Price("second", {48: ("",)}),
    ),
    row(
        "ai-clothes-changer image CLOTHES_CHANGER AI Clothes Changer",
        "assets.garment_file_path!:image assets.garment_type:word assets.person_file_path!:image",
        expected=13,
        price=25,
    ),
    row(
        "ai-face-editor image FACE_EDITOR AI Face Editor",
        """
        assets.image_file_path!:image style!:object style.enhance_face:boolean style.eye_gaze_horizontal:number
        style.eye_gaze_vertical:number style.eye_open_ratio:number style.eyebrow_direction:number
        style.head_pitch:number style.head_roll:number style.head_yaw:number style.lip_open_ratio:number
        style.mouth_grim:number style.mouth_position_horizontal:number style.mouth_position_vertical:number
        style.mouth_pout:number style.mouth_purse:number style.mouth_smile:number
        """,
        expected=3,
        price=1,
    ),
    row(
        "ai-gif-generator image AI_GIF AI GIF Generator",
        "output_format:word style.prompt!",
        expected=23,
        price=50,
    ),
    row(
        "ai-headshot-generator image AI_HEADSHOT AI Headshot Generator",
        "assets.image_file_path!:image style.prompt",
        expected=14,
        price=50,
    ),
    row(
        "ai-image-editor image AI_IMAGE_EDITOR AI Image Editor",
        """
        aspect_ratio:word assets!:object assets.image_file_path:image assets.image_file_paths[]:image
        image_count:count model:word resolution:word style.model:word style.prompt!
        """,
        expected=9,
        needs=("assets.image_file_paths|assets.image_file_path",),
        outputs="image_count",
        deprecated={"assets.image_file_path": "use `assets.image_file_paths`, a list", "style.model": "use `model`"},
        price=IMAGES,
    ),
    row(
        "ai-image-generator image AI_IMAGE AI Image Generator",
        """
        aspect_ratio:word image_count!:count model:word orientation:word resolution:word style.prompt!
        style.quality_mode:word style.tool:word
        """,
        expected=5,
        outputs="image_count",
        deprecated={
            "orientation": ORIENTATION,
            "style.quality_mode": "use `model`: z-image-turbo for standard, seedream-v4 for pro",
        },
        price=IMAGES,
    ),
    row(
        "ai-image-upscaler image IMAGE_UPSCALER AI Image Upscaler",
        "assets.image_file_path!:image scale_factor!:positive style.enhancement:word style.mode:word style.prompt",
        expected=22,
        deprecated={
            "style.enhancement": "use `style.mode`: preserve for Resemblance, else the same word in lower case"
        },
        price=Price(
            "project",
            {
                # `pro` is an old word for preserve, balanced the default.
                25: ("2 preserve", "2 pro"),
                50: ("2", "2 balanced", "2 creative"),
                100: ("4 preserve", "4 pro"),
                200: ("4", "4 balanced", "4 creative"),
            },
            by=("scale_factor", "style.mode"),
        ),
    ),
    row(
        "ai-meme-generator image AI_MEME AI Meme Generator",
        "style.searchWeb:boolean style.template!:word style.topic!",
        expected=9,
        price=10,
    ),
    row(
        "ai-qr-code-generator image QR_CODE AI QR Code Generator",
        "content! style.art_style!:word",
        expected=7,
        price=0,
    ),
    row(
        "body-swap image BODY_SWAP Body Swap",
        "assets.person_file_path!:image assets.scene_file_path!:image resolution!:word",
        expected=38,
        price=Price("project", {50: ("640px",)}, by=("resolution",)),
    ),
    row(
        "face-swap-photo image FACE_SWAP Face Swap Photo",
        """
        assets.face_mappings[].new_face!:image assets.face_mappings[].original_face!:word
        assets.face_swap_mode:word assets.source_file_path:image assets.target_file_path!:image
        """,
        expected=4,
        needs=(
            "assets.face_swap_mode=all-faces assets.source_file_path",
            "assets.face_swap_mode=individual-faces assets.face_mappings",
        ),
        price=10,
    ),
    row(
        "head-swap image HEAD_SWAP Head Swap",
        "assets.body_file_path!:image assets.head_file_path!:image max_resolution:integer",
        expected=18,
        price=10,
    ),
    row(
        "image-background-remover image BACKGROUND_REMOVER Image Background Remover",
        "assets.background_image_file_path:image assets.image_file_path!:image",
        expected=4,
        price=5,
    ),
    row(
        "photo-colorizer image PHOTO_COLORIZER Photo Colorizer",
        "assets.image_file_path!:image",
        expected=9,
        price=10,
    ),
    row(
        "ai-music-generator audio MUSIC_GENERATOR AI Music Generator",
        "duration!:count style.instrumental:boolean style.lyrics style.prompt!",
        price=Price("second", {1: ("",)}, of="duration"),
    ),
    row(
        "ai-voice-cloner audio VOICE_CLONER AI Voice Cloner",
        "assets.audio_file_path!:audio style.prompt!",
        expected=21,
        price=Price("character", {0.1: ("",)}, of="style.prompt"),
    ),
    row(
        "ai-voice-generator audio VOICE_GENERATOR AI Voice Generator",
        "style.prompt! style.voice_name!:word",
        expected=21,
        price=Price("character", {0.1: ("",)}, of="style.prompt"),
    ),
)

TOOLS: Mapping[str, Tool] = MappingProxyType({tool.name: tool for tool in ROWS})
"""Each tool by its name."""

IMAGE_TO_VIDEO = TOOLS["image-to-video"]


def tool_named(name: object) -> Tool:
    """Return a tool.

    :param name: last part of the path of its endpoint, such as ``text-to-video``.
    :raises MagicHourInvalidRequestError: naming the most similar tools.
    """
    if isinstance(name, str) and name in TOOLS:
        return TOOLS[name]
    from difflib import get_close_matches

    words = (name if isinstance(name, str) else "").strip().lower().replace("_", "-").replace(" ", "-")
    close = get_close_matches(words, TOOLS, 3, 0.5)
    meant = f"did you mean {' or '.join(close)}" if close else f"one of {', '.join(TOOLS)} is needed"
    raise MagicHourInvalidRequestError.unsent(f"tool={shown(name)}: Magic Hour has no such tool; {meant}")


def top_level_fields() -> list[str]:
    """Return the names of all fields that a body may begin with, of any tool; ``name`` is not one of them."""
    paths = {path for tool in TOOLS.values() for path in tool.fields}
    return sorted(path for path in paths - {"name"} if "." not in path and "[" not in path)
