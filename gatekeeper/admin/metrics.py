"""`GET /metrics` for Prometheus. It needs no key, so it contains no virtual key, tag, user or path.

The exposition format is written by prometheus_client; the counters are in `gatekeeper.ledger.call_metrics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gatekeeper import __version__
from gatekeeper.admin.probes import not_ready_reasons
from gatekeeper.gateway import Gateway
from gatekeeper.ledger.call_metrics import CallMetrics, Histogram
from gatekeeper.money import PICO

Sample = tuple[tuple[str, ...], float]
"""The values of the labels, and the value of the metric."""


def expose(gateway: Gateway, counted: CallMetrics, accept: str) -> tuple[bytes, str]:
    """The metrics in the exposition format that the `Accept` header requests, and its media type."""
    # Not the library's global registry: there may be several gateways in a process, as in the tests.
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(Families(gateway, counted))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class Families(Collector):
    """The gateway's metrics, collected at each scrape."""

    def __init__(self, gateway: Gateway, counted: CallMetrics) -> None:
        self._gateway = gateway
        self._counted = counted

    def collect(self) -> Iterator[Metric]:
        yield from _counters(self._counted)
        yield from _histograms(self._counted)
        yield from _gauges(self._gateway)


def _counters(counted: CallMetrics) -> Iterator[Metric]:
    yield _counter("calls", "Finished calls.", ("model", "outcome"), counted.calls.items())
    failures = _single(counted.failures)
    yield _counter("failed_calls", "Calls whose outcome is not ok, by reason.", ("reason",), failures)
    tokens = counted.tokens.items()
    yield _counter("tokens", "Tokens of calls; cached is a part of prompt.", ("model", "type"), tokens)
    # Converted to float only here: Prometheus has no other numbers.
    costs = ((label, pico / PICO) for label, pico in _single(counted.cost_pico))
    yield _counter("cost_usd", "Known cost of calls, in US dollars.", ("model",), costs)
    unpriced = _single(counted.unpriced)
    yield _counter("unpriced_calls", "Calls whose cost was unknown at their end.", ("model",), unpriced)


def _single(counted: Counter[str]) -> Iterable[Sample]:
    return (((label,), value) for label, value in counted.items())


def _counter(name: str, meaning: str, labels: tuple[str, ...], samples: Iterable[Sample]) -> Metric:
    family = CounterMetricFamily(f"gatekeeper_{name}", meaning, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histograms(counted: CallMetrics) -> Iterator[Metric]:
    yield _by_stream("call_duration_seconds", "To the last byte sent to the client.", counted.durations)
    yield _by_stream("first_byte_seconds", "To the first byte sent to the client.", counted.first_bytes)
    meaning = "The gateway's own part of the time to the first byte."
    family = HistogramMetricFamily("gatekeeper_gateway_seconds", meaning, labels=())
    family.add_metric((), counted.gateway.cumulative, counted.gateway.sum)
    yield family


def _by_stream(name: str, meaning: str, histograms: dict[bool, Histogram]) -> Metric:
    family = HistogramMetricFamily(f"gatekeeper_{name}", meaning, labels=("stream",))
    for stream, histogram in histograms.items():
        family.add_metric((str(stream).lower(),), histogram.cumulative, histogram.sum)
    return family


def _gauges(gateway: Gateway) -> Iterator[Metric]:
    version = InfoMetricFamily("gatekeeper", "The gateway's release.")
    version.add_metric((), {"version": __version__})
    yield version
    yield _gauge(
        "calls_in_flight", "Calls that have started and not finished.", len(gateway.proxy.open_calls)
    )
    ready = not any(not_ready_reasons(gateway))
    yield _gauge("ready", "1 while /readyz is 200, else 0.", float(ready))
    lag = gateway.ledger.analytics.subscription.lag
    yield _gauge("analytics_lag_bytes", "Bytes of the journal that the analytics file lacks.", lag.size)
    yield _gauge("analytics_lag_seconds", "Since a call ended that the analytics file lacks.", lag.seconds)
    health = gateway.google_keys.pool.health(gateway.now_micros())
    keys = GaugeMetricFamily(
        "gatekeeper_google_keys", "Google keys of the gateway, by state.", labels=("state",)
    )
    for state, number in Counter(each.state for each in health).items():
        keys.add_metric((state,), number)
    yield keys


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gatekeeper_{name}", meaning, value=value)
