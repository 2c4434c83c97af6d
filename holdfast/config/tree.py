"""The settings as frozen Structs: names, types, ranges, defaults and one sentence for each.

The sentence (`description`) is what the example file, the JSON schema for editors and `config show` print. Numbers with a
fraction are Decimals, read exactly as they are written. Secrets are never here: only the names of what holds them.
"""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from events.facts import Plan, Timing
from venues.simulated.settings import VenueSettings

# Capitals only: a key that was pasted in place of the name of its variable is refused, and not quoted.
_ENV_NAME = r"^([A-Z_][A-Z0-9_]{0,63})?$"
_NAMESPACE = r"^[a-z0-9]{2}$"
_SYMBOL = r"^[A-Z0-9.]{1,16}/[A-Z0-9.]{1,16}$"

EnvName = Annotated[str, Meta(pattern=_ENV_NAME)]
Symbol = Annotated[str, Meta(pattern=_SYMBOL)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections."""


class Engine(Section, frozen=True, kw_only=True):
    """Who this engine is, and where its files lie."""

    namespace: Annotated[str, Meta(pattern=_NAMESPACE, max_length=2, description="start of every id; one per engine and account")] = "hf"
    data_dir: Annotated[str, Meta(min_length=1, description="folder of the store and the sessions, made if it does not exist")] = "var"


class Venue(Section, frozen=True, kw_only=True):
    """Where orders go. With kind "simulated" the addresses and keys are not used."""

    kind: Annotated[Literal["simulated", "kraken"], Meta(description="the simulated venue needs no key and trades no money")] = "simulated"
    symbols: Annotated[tuple[Symbol, ...], Meta(min_length=1, description="symbols to follow and trade")] = ("BTC/USD",)
    public_url: Annotated[str, Meta(description="market data; wss, or ws on this machine")] = "wss://ws.kraken.com/v2"
    private_url: Annotated[str, Meta(description="orders and executions")] = "wss://ws-auth.kraken.com/v2"
    rest_url: Annotated[str, Meta(description="the token, and look-ups of orders and executions")] = "https://api.kraken.com"
    api_key_env: Annotated[EnvName, Meta(description="name of the environment variable that holds the API key")] = "KRAKEN_API_KEY"
    api_secret_env: Annotated[EnvName, Meta(description="name of the environment variable that holds the API secret")] = "KRAKEN_API_SECRET"
    api_secret_file: Annotated[str, Meta(description="or a file of mode 0600 that holds the API secret; it goes first")] = ""
    dead_man_secs: Annotated[
        int, Meta(ge=0, lt=86_400, description="the venue cancels resting entries, the owner's too, after that long without us; 0 never")
    ] = 0
    rest_tier: Annotated[
        Literal["starter", "intermediate", "pro"], Meta(description="the account's tier at the venue, by which REST calls are paced")
    ] = "starter"


class Simulated(Section, frozen=True, kw_only=True):
    """The simulated venue and its market."""

    seed: Annotated[int, Meta(ge=0, description="of the market, the depth, the ids and the faults")] = 1
    ticks: Annotated[tuple[str, ...], Meta(description="tick files, FILE or SYMBOL=FILE; without one the market comes from the seed")] = ()
    speed: Annotated[Decimal, Meta(description="market seconds per second, for venue and engine alike")] = Decimal(1)
    faults: Annotated[tuple[str, ...], Meta(description="faults to switch on: NAME, all, or NAME/p=0.1/count=2")] = ()
    port: Annotated[int, Meta(ge=0, le=65_535, description="port on 127.0.0.1; 0 takes a free one")] = 0
    settings: Annotated[VenueSettings, Meta(description="fees, balances, latencies and rate limits")] = VenueSettings()


class Store(Section, frozen=True, kw_only=True):
    """Where events become durable."""

    url: Annotated[str, Meta(description="SQLite file or postgresql://user@host/database?schema=name; empty: events.db in data_dir")] = ""
    password_env: Annotated[EnvName, Meta(description="name of the environment variable that holds PostgreSQL's password")] = ""


class Session(Section, frozen=True, kw_only=True):
    """The record of every input, for replay."""

    path: Annotated[str, Meta(description="folder of the session files; empty: sessions in data_dir")] = ""
    key_env: Annotated[EnvName, Meta(description="name of the environment variable with the chain's key; empty: a chain without key")] = ""
    anchor_every: Annotated[int, Meta(ge=1, description="records between two anchors, which show a cut tail")] = 1_000


class Risk(Section, frozen=True, kw_only=True):
    """Limits that stop new risk or report it. Protection and exits have none."""

    unprotected_budget_ms: Annotated[int, Meta(ge=0, description="uncovered for longer, and `holdfast check` ends with 7")] = 2_000
    max_positions: Annotated[int, Meta(ge=0, description="open positions at once; further requests are refused")] = 200
    hard_take_profit_bps: Annotated[int, Meta(ge=0, le=10_000, description="profit at which any position is closed; 0 never")] = 200


class Log(Section, frozen=True, kw_only=True):
    """What is said on standard error."""

    format: Annotated[Literal["console", "json"], Meta(description="for people, or one JSON object a line")] = "console"
    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="the least that is said")] = "info"


class Config(Section, frozen=True, kw_only=True):
    """All settings of Holdfast."""

    engine: Engine = Engine()
    venue: Venue = Venue()
    simulated: Simulated = Simulated()
    store: Store = Store()
    session: Session = Session()
    timing: Annotated[Timing, Meta(description="Every time limit of a position that names no other, in milliseconds.")] = Timing()
    risk: Risk = Risk()
    log: Log = Log()
    positions: Annotated[tuple[Plan, ...], Meta(description="Positions to open at the start, each as a plan.")] = ()

    @property
    def store_url(self) -> str:
        """The store's address, without a password."""
        return self.store.url or f"{self.engine.data_dir}/events.db"

    @property
    def session_dir(self) -> str:
        """The folder of the session files."""
        return self.session.path or f"{self.engine.data_dir}/sessions"
