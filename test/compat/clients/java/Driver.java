// Driver for the Java client, the one that Kafka itself ships.
//
// The protocol is described in clients/driver.py. Argument: the bootstrap address. One thread for each group
// member: a KafkaConsumer belongs to the thread that polls it.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.internals.AppInfoParser;

public final class Driver {
    // Of every node that is judged.
    private static final int NODE_ID = 1;
    // For a whole call, and for each request in it: a node may wait for a slow disk.
    private static final int SECONDS = 100;
    private static final int REQUEST_SECONDS = 90;
    private static final ObjectMapper JSON = new ObjectMapper();

    private final String bootstrap;
    private final Map<String, Member> members = new HashMap<>();
    private Admin admin;

    private Driver(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        System.setOut(System.err); // answers only on standard output, whatever a library prints
        Driver driver = new Driver(arguments[0]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                answer.set("ok", JSON.valueToTree(driver.act(JSON.readTree(line))));
            } catch (Exception error) {
                error.printStackTrace();
                Throwable cause = cause(error);
                answer.set("error", JSON.valueToTree(code(cause)));
                answer.put("text", cause.toString());
            }
            out.println(JSON.writeValueAsString(answer));
            out.flush();
        }
        for (Member member : driver.members.values()) {
            member.close();
        }
        System.exit(0);
    }

    private static Throwable cause(Throwable error) {
        return error instanceof ExecutionException && error.getCause() != null ? error.getCause() : error;
    }

    /** Kafka's number of an error, or null where the client made it up. */
    private static Integer code(Throwable error) {
        Errors known = Errors.forException(error);
        return known == Errors.UNKNOWN_SERVER_ERROR ? null : Integer.valueOf(known.code());
    }

    private static String encode(byte[] data) {
        return data == null ? null : Base64.getEncoder().encodeToString(data);
    }

    private static byte[] decode(JsonNode text) {
        return text == null || text.isNull() ? null : Base64.getDecoder().decode(text.asText());
    }

    private static boolean given(JsonNode node, String name) {
        return node.hasNonNull(name);
    }

    private Properties base() {
        Properties base = new Properties();
        base.put("bootstrap.servers", bootstrap);
        return base;
    }

    private Admin admin() {
        if (admin == null) {
            Properties settings = base();
            settings.put("request.timeout.ms", REQUEST_SECONDS * 1000);
            settings.put("default.api.timeout.ms", SECONDS * 1000);
            admin = Admin.create(settings);
        }
        return admin;
    }

    private static <T> T wait(Future<T> future) throws Exception {
        return future.get(SECONDS, TimeUnit.SECONDS);
    }

    private Object act(JsonNode o) throws Exception {
        String topic = o.path("topic").asText();
        String group = o.path("group").asText();
        switch (o.get("do").asText()) {
            case "hello":
                return Map.of("client", "java", "version", AppInfoParser.getVersion(), "cannot", List.of());
            case "produce":
                return produce(o);
            case "bulk_produce":
                return bulkProduce(o);
            case "consume":
                return consume(o);
            case "bulk_consume":
                return bulkConsume(o);
            case "offset_for":
                return offsetFor(o);
            case "topics":
                return new TreeSet<>(wait(admin().listTopics().names()));
            case "partitions":
                return wait(admin().describeTopics(List.of(topic)).topicNameValues().get(topic)).partitions().size();
            case "create_topic": {
                Map<String, String> configs = JSON.convertValue(o.get("configs"), Map.class);
                NewTopic made = new NewTopic(topic, o.get("partitions").asInt(), (short) 1).configs(configs);
                return wait(admin().createTopics(List.of(made)).all());
            }
            case "delete_topic":
                return wait(admin().deleteTopics(List.of(topic)).all());
            case "add_partitions": {
                Map<String, NewPartitions> more = Map.of(topic, NewPartitions.increaseTo(o.get("total").asInt()));
                return wait(admin().createPartitions(more).all());
            }
            case "topic_configs":
                return topicConfigs(topic);
            case "set_topic_configs": {
                List<AlterConfigOp> changes = new ArrayList<>();
                o.get("configs").fields().forEachRemaining(entry -> changes.add(new AlterConfigOp(
                    new ConfigEntry(entry.getKey(), entry.getValue().asText()), AlterConfigOp.OpType.SET)));
                ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
                return wait(admin().incrementalAlterConfigs(Map.of(resource, changes)).all());
            }
            case "delete_records": {
                TopicPartition part = new TopicPartition(topic, o.get("partition").asInt());
                RecordsToDelete before = RecordsToDelete.beforeOffset(o.get("before").asLong());
                return wait(admin().deleteRecords(Map.of(part, before)).all());
            }
            case "leaders": {
                List<Integer> leaders = new ArrayList<>();
                wait(admin().describeTopics(List.of(topic)).topicNameValues().get(topic)).partitions()
                    .forEach(p -> leaders.add(p.leader() == null || p.leader().isEmpty() ? -1 : p.leader().id()));
                return leaders;
            }
            case "move": {
                TopicPartitionReplica replica = new TopicPartitionReplica(topic, o.get("partition").asInt(), NODE_ID);
                return wait(admin().alterReplicaLogDirs(Map.of(replica, o.get("dir").asText())).all());
            }
            case "log_dirs":
                return logDirs();
            case "set_broker_configs": {
                List<AlterConfigOp> changes = new ArrayList<>();
                o.get("configs").fields().forEachRemaining(entry -> changes.add(new AlterConfigOp(
                    new ConfigEntry(entry.getKey(), entry.getValue().asText()), AlterConfigOp.OpType.SET)));
                ConfigResource resource = new ConfigResource(ConfigResource.Type.BROKER, String.valueOf(NODE_ID));
                return wait(admin().incrementalAlterConfigs(Map.of(resource, changes)).all());
            }
            case "groups": {
                Set<String> names = new TreeSet<>();
                wait(admin().listGroups().all()).forEach(listed -> names.add(listed.groupId()));
                return names;
            }
            case "describe_group": {
                ConsumerGroupDescription found =
                    wait(admin().describeConsumerGroups(List.of(group)).describedGroups().get(group));
                return Map.of("state", found.groupState().toString(), "members", found.members().size());
            }
            case "delete_group":
                return wait(admin().deleteConsumerGroups(List.of(group)).all());
            case "committed":
                return committed(o);
            case "join":
                members.put(o.get("member").asText(), new Member(base(), group, topic));
                return null;
            case "assignment":
                return member(o).ask(Member::assigned);
            case "drained":
                return member(o).ask(Member::drained);
            case "commit":
                return member(o).ask(m -> {
                    m.consumer.commitSync();
                    return null;
                });
            case "leave":
                members.remove(o.get("member").asText()).close();
                return null;
            default:
                throw new IllegalArgumentException("no action " + o.get("do"));
        }
    }

    private Map<String, Object> logDirs() throws Exception {
        Map<String, Object> told = new HashMap<>();
        Map<String, LogDirDescription> dirs = wait(admin().describeLogDirs(List.of(NODE_ID)).descriptions().get(NODE_ID));
        dirs.forEach((path, dir) -> {
            Map<String, Object> partitions = new HashMap<>();
            dir.replicaInfos().forEach((partition, replica) -> partitions.put(
                partition + (replica.isFuture() ? " future" : ""), List.of(replica.size(), replica.offsetLag())));
            told.put(path, Map.of(
                "error", dir.error() == null ? 0 : Errors.forException(dir.error()).code(),
                "total", dir.totalBytes().orElse(-1),
                "usable", dir.usableBytes().orElse(-1),
                "partitions", partitions));
        });
        return told;
    }

    private Member member(JsonNode o) {
        return members.get(o.get("member").asText());
    }

    private KafkaProducer<byte[], byte[]> producer(JsonNode o) {
        Properties settings = base();
        settings.put("compression.type", o.get("codec").asText());
        settings.put("enable.idempotence", o.path("idempotent").asBoolean(false));
        settings.put("acks", "all");
        settings.put("max.request.size", 16 << 20);
        int seconds = o.path("seconds").asInt(SECONDS);
        settings.put("delivery.timeout.ms", seconds * 1000);
        settings.put("request.timeout.ms", Math.min(REQUEST_SECONDS, seconds - 1) * 1000);
        settings.put("linger.ms", 5);
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private Object produce(JsonNode o) throws Exception {
        List<Object> placed = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer(o)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (JsonNode r : o.get("records")) {
                RecordHeaders headers = new RecordHeaders();
                for (JsonNode pair : r.path("h")) {
                    headers.add(pair.get(0).asText(), decode(pair.get(1)));
                }
                Integer partition = given(r, "p") ? Integer.valueOf(r.get("p").asInt()) : null;
                Long timestamp = given(r, "ts") ? Long.valueOf(r.get("ts").asLong()) : null;
                sent.add(producer.send(new ProducerRecord<>(
                    o.get("topic").asText(), partition, timestamp, decode(r.get("k")), decode(r.get("v")), headers)));
            }
            for (Future<RecordMetadata> one : sent) {
                try {
                    RecordMetadata where = wait(one);
                    placed.add(List.of(where.partition(), where.offset()));
                } catch (ExecutionException error) {
                    Map<String, Object> failure = new HashMap<>();
                    failure.put("error", code(cause(error)));
                    placed.add(failure);
                }
            }
        }
        return placed;
    }

    private Object bulkProduce(JsonNode o) throws Exception {
        int size = o.get("size").asInt();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer(o);
                InputStream file = Files.newInputStream(Path.of(o.get("file").asText()))) {
            for (byte[] chunk; (chunk = file.readNBytes(size)).length > 0; ) {
                byte[] value = java.util.Arrays.copyOf(chunk, chunk.length - 1);
                sent.add(producer.send(new ProducerRecord<>(o.get("topic").asText(), 0, null, value)));
            }
        }
        for (Future<RecordMetadata> one : sent) {
            one.get();
        }
        return null;
    }

    /** Hands `take` up to `count` records from the given offsets, within the order's seconds. */
    private void read(JsonNode o, Map<TopicPartition, Long> from, Consumer<ConsumerRecord<byte[], byte[]>> take) {
        Properties settings = base();
        settings.put("enable.auto.commit", false);
        settings.put("auto.offset.reset", "none");
        settings.put("max.poll.records", 500);
        int count = o.get("count").asInt();
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(o.get("seconds").asLong());
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(from.keySet());
            from.forEach(consumer::seek);
            for (int seen = 0; seen < count && System.nanoTime() < until; ) {
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    if (seen++ < count) {
                        take.accept(record);
                    }
                }
            }
        }
    }

    private Object consume(JsonNode o) {
        Map<TopicPartition, Long> from = new HashMap<>();
        o.get("from").fields().forEachRemaining(entry -> from.put(
            new TopicPartition(o.get("topic").asText(), Integer.parseInt(entry.getKey())), entry.getValue().asLong()));
        List<Object> records = new ArrayList<>();
        read(o, from, r -> {
            Map<String, Object> record = new HashMap<>();
            List<String[]> headers = new ArrayList<>();
            for (Header header : r.headers()) {
                headers.add(new String[] {header.key(), encode(header.value())});
            }
            record.put("p", r.partition());
            record.put("o", r.offset());
            record.put("ts", r.timestamp());
            record.put("k", encode(r.key()));
            record.put("v", encode(r.value()));
            record.put("h", headers);
            records.add(record);
        });
        return records;
    }

    private Object bulkConsume(JsonNode o) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        read(o, Map.of(new TopicPartition(o.get("topic").asText(), 0), 0L), r -> {
            digest.update(r.value());
            digest.update((byte) '\n');
        });
        return HexFormat.of().formatHex(digest.digest());
    }

    private Object offsetFor(JsonNode o) throws Exception {
        TopicPartition part = new TopicPartition(o.get("topic").asText(), o.get("partition").asInt());
        JsonNode at = o.get("at");
        OffsetSpec spec = at.isNumber() ? OffsetSpec.forTimestamp(at.asLong())
            : at.asText().equals("earliest") ? OffsetSpec.earliest() : OffsetSpec.latest();
        return wait(admin().listOffsets(Map.of(part, spec)).partitionResult(part)).offset();
    }

    private Object topicConfigs(String topic) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Config found = wait(admin().describeConfigs(List.of(resource)).values().get(resource));
        Map<String, String> configs = new HashMap<>();
        found.entries().forEach(entry -> configs.put(entry.name(), entry.value()));
        return configs;
    }

    private Object committed(JsonNode o) throws Exception {
        String group = o.get("group").asText();
        List<TopicPartition> asked = new ArrayList<>();
        for (JsonNode partition : o.get("partitions")) {
            asked.add(new TopicPartition(o.get("topic").asText(), partition.asInt()));
        }
        ListConsumerGroupOffsetsSpec spec = new ListConsumerGroupOffsetsSpec().topicPartitions(asked);
        Map<TopicPartition, OffsetAndMetadata> found =
            wait(admin().listConsumerGroupOffsets(Map.of(group, spec)).partitionsToOffsetAndMetadata(group));
        Map<String, Long> offsets = new HashMap<>();
        for (TopicPartition part : asked) {
            OffsetAndMetadata offset = found.get(part);
            offsets.put(String.valueOf(part.partition()), offset == null ? -1 : offset.offset());
        }
        return offsets;
    }

    /** A group consumer with the thread that owns it. */
    private static final class Member extends Thread implements ConsumerRebalanceListener {
        private final KafkaConsumer<byte[], byte[]> consumer;
        private final String topic;
        private final BlockingQueue<FutureTask<?>> orders = new LinkedBlockingQueue<>();
        private List<Object> seen = new ArrayList<>();
        private volatile boolean closed;

        Member(Properties settings, String group, String topic) {
            settings.put("group.id", group);
            settings.put("auto.offset.reset", "earliest");
            settings.put("enable.auto.commit", false);
            settings.put("session.timeout.ms", 6000);
            settings.put("heartbeat.interval.ms", 500);
            settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor");
            this.consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
            this.topic = topic;
            setDaemon(true);
            start();
        }

        @Override
        public void run() {
            consumer.subscribe(List.of(topic), this);
            while (!closed) {
                try {
                    for (var record : consumer.poll(Duration.ofMillis(100))) {
                        Object[] row = {record.partition(), record.offset(), encode(record.value())};
                        seen.add(row);
                    }
                } catch (RuntimeException error) {
                    error.printStackTrace();
                }
                for (FutureTask<?> order; (order = orders.poll()) != null; ) {
                    order.run();
                }
            }
            consumer.close();
        }

        interface Question<T> {
            T of(Member member) throws Exception;
        }

        <T> T ask(Question<T> question) throws Exception {
            Callable<T> call = () -> question.of(this);
            FutureTask<T> task = new FutureTask<>(call);
            orders.add(task);
            return task.get(SECONDS, TimeUnit.SECONDS);
        }

        private List<Integer> assigned() {
            return consumer.assignment().stream().map(TopicPartition::partition).sorted().toList();
        }

        private List<Object> drained() {
            List<Object> taken = seen;
            seen = new ArrayList<>();
            return taken;
        }

        void close() throws InterruptedException {
            closed = true;
            join(TimeUnit.SECONDS.toMillis(SECONDS));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}
    }
}
