"""Test suites that foreign clients ship, run against our node and judged by frozen lists."""
