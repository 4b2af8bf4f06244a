"""What foreign tools print is read as it stands, and anything else is refused."""

import os
import time
import unittest

from runner import drivers, usage

PRODUCER = """\
Warmup first 50000 records. Steady state results will print after the complete test summary.
9996 records sent, 1999.2 records/sec (1.95 MB/sec), 0.3 ms avg latency, 11.0 ms max latency.
300000 records sent, 44769.437397 records/sec (43.72 MB/sec), 539.42 ms avg latency, 928.00 ms max latency, 517 ms 50th, 870 ms 95th, 915 ms 99th, 925 ms 99.9th.
250000 steady state records sent, 50210.885720 records/sec (49.03 MB/sec), 563.40 ms avg latency, 928.00 ms max latency, 523 ms 50th, 874 ms 95th, 919 ms 99th, 926 ms 99.9th.
"""
CONSUMER = """\
start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec
2026-11-26 13:08:11:798, 2026-11-26 13:08:13:752, 292.9689, 149.9329, 300001, 153531.7298, 267, 1687, 173.6627, 177831.0611
"""
RD_PRODUCER = """\
% Sending 180000 messages of size 1024 bytes
|    elapsed |       msgs |      bytes |        rtt |         dr |     dr_m/s |    dr_MB/s |     dr_err |     tx_err |       outq |     offset |   lat_curr |    lat_avg |     lat_lo |     lat_hi 
|       1305 |     180000 |  184320000 |          0 |     179999 |     137920 |     141.23 |          0 |         21 |          0 |     376820 |     470.37 |     422.31 |      69.14 |     582.64 
"""
RD_CONSUMER = """\
|    elapsed |       msgs |      bytes |        rtt |        m/s |       MB/s |     rx_err |     offset 
|          0 |          0 |          0 |          0 |          0 |       0.00 |          0 |          0 
|        336 |     180000 |  179691827 |          0 |     534794 |     533.88 |          0 |     179999 
% Average application fetch latency: 2us
"""


class Figures(unittest.TestCase):
    def test_of_a_producer_the_whole_run_counts_and_the_steady_state_is_told(self):
        figures = drivers.of_kafka_producer(PRODUCER)
        self.assertEqual((figures["records"], figures["raw_bytes"]), (300_000, 300_000 * 1_024))
        self.assertEqual((figures["mb_per_second"], figures["average_ms"]), (49.03, 563.4))
        self.assertEqual([figures[f"{name}_ms"] for name in ("p50", "p95", "p99", "p999")], [523, 874, 919, 926])

    def test_of_a_consumer_the_rate_is_that_behind_the_rebalance(self):
        figures = drivers.of_kafka_consumer(CONSUMER)
        self.assertEqual((figures["records"], figures["mb_per_second"]), (300_001, 173.6627))
        self.assertAlmostEqual(figures["raw_bytes"], 292.9689 * 1_048_576)

    def test_of_librdkafka_the_last_row_counts_and_only_what_was_delivered(self):
        figures = drivers.of_rdkafka(RD_PRODUCER)
        self.assertEqual((figures["records"], figures["mb_per_second"], figures["average_ms"]), (179_999, 141.23, 422.31))
        figures = drivers.of_rdkafka(RD_CONSUMER)
        self.assertEqual((figures["records"], figures["raw_bytes"], figures["mb_per_second"]), (180_000, 179_691_827, 533.88))

    def test_half_an_output_is_refused(self):
        for read, out in (
            (drivers.of_kafka_producer, PRODUCER.rsplit("\n", 2)[0]),
            (drivers.of_kafka_consumer, CONSUMER.split("\n")[0]),
            (drivers.of_rdkafka, RD_CONSUMER.split("\n")[0]),
            (drivers.of_rdkafka, ""),
        ):
            with self.assertRaises(drivers.Unreadable):
                read(out)


class CpuTime(unittest.TestCase):
    def test_the_clock_of_a_process_is_its_own_cpu_time(self):
        before, mine = usage.now(os.getpid()), time.process_time()
        while time.process_time() - mine < 0.05:
            pass
        spent = usage.now(os.getpid()).since(before)
        mine = time.process_time() - mine
        self.assertAlmostEqual(spent["broker_cpu_seconds"], mine, delta=0.02)

    def test_idle_waiting_and_stolen_time_are_no_work(self):
        stat = f"cpu  {usage.TICKS} 200 300 9999 9999 {usage.TICKS} 500 {3 * usage.TICKS} 9999 0\ncpu0 1 1 1 1 1 1 1 1\n"
        self.assertEqual(usage.machine_seconds(stat), (2 + 1_000 / usage.TICKS, 3))

    def test_what_was_used_since_tells_of_others_and_of_the_host(self):
        before, after = usage.Usage(10, 1, 2, 5, 0.5), usage.Usage(14, 2, 4, 9, 0.75)
        used = {"seconds": 4, "broker_cpu_seconds": 1, "client_cpu_seconds": 2, "foreign_cpu_seconds": 1, "steal_seconds": 0.25}
        self.assertEqual(after.since(before), used)


if __name__ == "__main__":
    unittest.main()
