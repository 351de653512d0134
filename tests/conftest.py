"""What every test shares."""

from hypothesis import HealthCheck, settings

# No deadline: these machines are shared, and speed is the benchmarks' business.
settings.register_profile(
    "everyday", max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("everyday"), max_examples=20_000)
