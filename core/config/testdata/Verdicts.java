// Asks Kafka's own classes what they think of configurations, and writes the tables beside this
// file that tests compare with: starts.tsv, alters.tsv, described.tsv.
//
//   java -cp 'KAFKA_4_4_LIBS/*' core/config/testdata/Verdicts.java core/config/testdata
//
// Each row of starts.tsv and alters.tsv keeps its input and gets Kafka's verdict anew; add a row
// with `?` as verdict to have it judged. Settings are separated by `|`.
import java.lang.reflect.Proxy;
import java.nio.file.*;
import java.util.*;
import kafka.server.*;
import org.apache.kafka.common.config.*;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.*;
import org.apache.kafka.metadata.*;

public class Verdicts {
    static final String NODE = "process.roles=broker,controller|node.id=1|listeners=PLAINTEXT://HOST:9092,CONTROLLER://HOST:9093"
        + "|controller.listener.names=CONTROLLER|controller.quorum.bootstrap.servers=HOST:9093|log.dirs=DATA_DIR";

    public static void main(String[] args) throws Exception {
        Path dir = Paths.get(args[0]);
        rewrite(dir.resolve("starts.tsv"), row -> verdict(() -> new KafkaConfig(props(row[1]))));
        rewrite(dir.resolve("alters.tsv"), Verdicts::alter);
        Files.write(dir.resolve("described.tsv"), described(args[0]));
        System.exit(0);
    }

    interface Judge { String of(String[] row) throws Exception; }
    interface Action { void run() throws Exception; }

    static void rewrite(Path file, Judge judge) throws Exception {
        List<String> out = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            String[] row = line.split("\t", -1);
            if (!out.isEmpty()) row[0] = judge.of(row);
            out.add(String.join("\t", row));
        }
        Files.write(file, out);
    }

    static String verdict(Action action) {
        try { action.run(); return "NONE"; }
        catch (ConfigException | IllegalArgumentException | ArithmeticException e) { return "INVALID_CONFIG"; }
        catch (Throwable t) { return Errors.forException(t).name(); }
    }

    static Properties props(String settings) {
        Properties p = new Properties();
        for (String pair : settings.split("\\|")) {
            int i = pair.indexOf('=');
            if (i > 0) p.setProperty(pair.substring(0, i), pair.substring(i + 1));
            else if (!pair.isEmpty()) p.remove(pair);
        }
        return p;
    }

    static Map<String, String> map(String settings) {
        Map<String, String> m = new TreeMap<>();
        props(settings).forEach((k, v) -> m.put((String) k, (String) v));
        return m;
    }

    // verdict, resource, name, settings of the node, settings before, settings after
    static String alter(String[] row) throws Exception {
        KafkaConfig node = new KafkaConfig(props(NODE + "|" + row[3]));
        if (row[1].equals("BROKER")) {
            node.dynamicConfig().initialize(scala.Option.empty());
            // ConfigAdminManager turns whatever is wrong into this code.
            String v = verdict(() -> node.dynamicConfig().validate(props(row[5]), !row[2].isEmpty()));
            return v.equals("NONE") ? v : "INVALID_REQUEST";
        }
        ConfigResource r = new ConfigResource(ConfigResource.Type.valueOf(row[1]), row[2]);
        return verdict(() -> new ControllerConfigurationValidator(node).validate(r, map(row[5]), map(row[4])));
    }

    static List<String> described(String dir) throws Exception {
        KafkaConfig node = new KafkaConfig(props(Files.readString(Paths.get(dir, "described-node.txt")).replace("\n", "|")));
        node.dynamicConfig().initialize(scala.Option.empty());
        Properties all = props(Files.readString(Paths.get(dir, "described-all-brokers.txt")).replace("\n", "|"));
        Properties own = props(Files.readString(Paths.get(dir, "described-this-broker.txt")).replace("\n", "|"));
        node.dynamicConfig().updateDefaultConfig(all, false);
        node.dynamicConfig().updateBrokerConfig(1, own, false);
        Map<String, String> set = new HashMap<>();
        for (String kind : List.of("TOPIC", "GROUP", "CLIENT_METRICS"))
            set.put(kind, Files.readString(Paths.get(dir, "described-" + kind.toLowerCase() + ".txt")).replace("\n", "|"));
        MetadataCache cache = (MetadataCache) Proxy.newProxyInstance(Verdicts.class.getClassLoader(), new Class<?>[] {MetadataCache.class},
            (p, m, a) -> m.getName().equals("contains") ? (Object) true : null);
        ConfigRepository stored = resource -> props(set.getOrDefault(resource.type().name(), ""));
        List<DescribeConfigsRequestData.DescribeConfigsResource> asked = new ArrayList<>();
        for (var r : List.of(Map.entry("BROKER", "1"), Map.entry("BROKER", ""), Map.entry("TOPIC", "t"), Map.entry("GROUP", "g"), Map.entry("CLIENT_METRICS", "m")))
            asked.add(new DescribeConfigsRequestData.DescribeConfigsResource().setResourceName(r.getValue())
                .setResourceType(ConfigResource.Type.valueOf(r.getKey()).id()));
        var results = new ConfigHelper(cache, node, stored).describeConfigs(scala.jdk.javaapi.CollectionConverters.asScala(asked).toList(), true, false);
        List<String> rows = new ArrayList<>();
        for (var result : scala.jdk.javaapi.CollectionConverters.asJava(results))
            for (var c : result.configs()) {
                StringBuilder synonyms = new StringBuilder();
                for (var s : c.synonyms()) synonyms.append(synonyms.length() > 0 ? "," : "").append(s.source()).append(':').append(s.name()).append('=').append(s.value());
                rows.add(String.join("\t", ConfigResource.Type.forId(result.resourceType()).name(), result.resourceName(), c.name(), "" + c.value(),
                    "" + c.configSource(), "" + c.configType(), "" + c.readOnly(), "" + c.isSensitive(), synonyms));
            }
        Collections.sort(rows);
        rows.add(0, "resource\tresource_name\tname\tvalue\tsource\ttype\tread_only\tsensitive\tsynonyms");
        return rows;
    }
}
