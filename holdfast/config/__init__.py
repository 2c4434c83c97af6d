"""The settings of Holdfast: one tree of frozen Structs, from a TOML file < `HOLDFAST__A__B` < `--set a.b=value`.

    loaded = load_config(Path("holdfast.toml"), sets=["simulated.seed=7"])
    loaded.config.simulated.seed                  # 7
    loaded.source_of("simulated.seed")            # "--set simulated.seed"

    tree      the settings, with their ranges, defaults and descriptions
    paths     which settings there are; the nearest right name
    layers    file, environment and options as trees
    load      the layers made into a Config, checked
    text      the example file, the listing of `config show`, the JSON schema for editors
    keys      secrets, read when they are needed from what the settings name
"""

from .keys import read_key, secret_file_problem, store_address
from .load import Loaded, load_config
from .tree import Config

__all__ = ["Config", "Loaded", "load_config", "read_key", "secret_file_problem", "store_address"]
