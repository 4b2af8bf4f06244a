// Kafka's half of the comparison: works on Kafka's own generated classes, by reflection.
//
//   schemas LIBS OUT        unpacks the JSON schemas of all jars in LIBS
//   verify LIBS             reads our messages from standard input: decoded and encoded, each must be the same
//   write LIBS SEED COUNT   writes COUNT random messages of every schema and version to standard output
//
// Objects are filled through their setters, as the JSON inside the jars says which fields a version has.

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.*;
import java.lang.reflect.*;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import java.util.jar.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.Readable;
import org.apache.kafka.common.record.internal.MemoryRecords;

public class Oracle {
    static final ObjectMapper JSON = new ObjectMapper().configure(JsonParser.Feature.ALLOW_COMMENTS, true);
    static final String[] PACKAGES = {
        "org.apache.kafka.common.message.", "org.apache.kafka.common.metadata.",
        "org.apache.kafka.coordinator.group.generated.", "org.apache.kafka.coordinator.transaction.generated.",
        "org.apache.kafka.coordinator.share.generated.", "org.apache.kafka.raft.generated.",
        "org.apache.kafka.server.log.remote.metadata.storage.generated.",
    };
    static final int DIFFERENCES_MAX = 20;
    static Random random;

    public static void main(String[] args) throws Exception {
        Path libs = Path.of(args[1]);
        switch (args[0]) {
            case "schemas" -> unpack(libs, Path.of(args[2]));
            case "verify" -> verify(libs);
            case "write" -> write(libs, Long.parseLong(args[2]), Integer.parseInt(args[3]));
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    static Map<String, byte[]> schemaFiles(Path libs) throws IOException {
        Map<String, byte[]> files = new TreeMap<>();
        try (DirectoryStream<Path> jars = Files.newDirectoryStream(libs, "kafka*.jar")) {
            for (Path jar : jars) {
                try (JarFile file = new JarFile(jar.toFile())) {
                    for (JarEntry entry : Collections.list(file.entries())) {
                        String name = entry.getName();
                        if (name.matches("(common/)?(message|metadata)/[^/]*\\.json"))
                            files.put(jar.getFileName() + "/" + name, file.getInputStream(entry).readAllBytes());
                    }
                }
            }
        }
        return files;
    }

    static void unpack(Path libs, Path out) throws IOException {
        for (Map.Entry<String, byte[]> file : schemaFiles(libs).entrySet()) {
            Path path = out.resolve(file.getKey());
            Files.createDirectories(path.getParent());
            Files.write(path, file.getValue());
        }
    }

    /** The schemas that have versions, by name. */
    static Map<String, JsonNode> schemas(Path libs) throws IOException {
        Map<String, JsonNode> schemas = new TreeMap<>();
        for (byte[] file : schemaFiles(libs).values()) {
            JsonNode schema = JSON.readTree(file);
            if (!schema.get("validVersions").asText().equals("none")) schemas.put(schema.get("name").asText(), schema);
        }
        return schemas;
    }

    static Class<?> classOf(JsonNode schema) throws ClassNotFoundException {
        String name = schema.get("name").asText();
        if (Set.of("request", "response", "header").contains(schema.get("type").asText())) name += "Data";
        for (String start : PACKAGES) {
            try {
                return Class.forName(start + name);
            } catch (ClassNotFoundException e) {
                // It is in another one.
            }
        }
        throw new ClassNotFoundException(name);
    }

    static byte[] encode(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBufferAccessor out = new ByteBufferAccessor(ByteBuffer.allocate(message.size(cache, version)));
        message.write(out, cache, version);
        if (out.buffer().hasRemaining()) throw new IllegalStateException("size and write disagree");
        return out.buffer().array();
    }

    static void verify(Path libs) throws Exception {
        Map<String, Constructor<?>> constructors = new HashMap<>();
        Map<String, JsonNode> schemas = schemas(libs);
        for (Map.Entry<String, JsonNode> schema : schemas.entrySet())
            constructors.put(schema.getKey(), classOf(schema.getValue()).getConstructor(Readable.class, short.class));
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in, 1 << 20));
        Set<String> seen = new TreeSet<>();
        long read = 0, different = 0;
        for (int length = in.readUnsignedShort(); length != 0; length = in.readUnsignedShort()) {
            String name = new String(in.readNBytes(length), "UTF-8");
            short version = in.readShort();
            byte[] body = in.readNBytes(in.readInt());
            String problem = null;
            try {
                ByteBuffer buffer = ByteBuffer.wrap(body);
                Message message = (Message) constructors.get(name).newInstance(new ByteBufferAccessor(buffer), version);
                if (buffer.hasRemaining()) problem = buffer.remaining() + " bytes left of " + message;
                byte[] again = encode(message, version);
                if (!Arrays.equals(body, again)) problem = HexFormat.of().formatHex(again) + " made of " + message;
            } catch (InvocationTargetException e) {
                problem = e.getCause().toString();
            } catch (RuntimeException e) {
                problem = e.toString();
            }
            if (problem != null) {
                System.err.println(name + " " + version + ": we wrote " + HexFormat.of().formatHex(body) + ", Kafka: " + problem);
                if (++different >= DIFFERENCES_MAX) break;
            }
            read++;
            seen.add(name + " " + version);
        }
        for (Map.Entry<String, JsonNode> schema : schemas.entrySet()) {
            short[] valid = range(schema.getValue().get("validVersions").asText());
            for (short version = valid[0]; version <= valid[1]; version++) {
                if (different == 0 && !seen.contains(schema.getKey() + " " + version)) {
                    System.err.println("we wrote no " + schema.getKey() + " of version " + version);
                    different++;
                }
            }
        }
        if (different > 0) System.exit(1);
        System.out.println("us to Kafka: " + read + " messages, " + seen.size() + " schema versions, 0 different");
    }

    static void write(Path libs, long seed, int count) throws Exception {
        random = new Random(seed);
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 20));
        for (Map.Entry<String, JsonNode> entry : schemas(libs).entrySet()) {
            JsonNode schema = entry.getValue();
            Map<String, JsonNode> structs = new HashMap<>();
            for (JsonNode shared : schema.path("commonStructs")) structs.put(shared.get("name").asText(), shared.get("fields"));
            Class<?> type = classOf(schema);
            short[] valid = range(schema.get("validVersions").asText());
            for (short version = valid[0]; version <= valid[1]; version++) {
                for (int i = 0; i < count; i++) {
                    Message message = (Message) fill(type, schema.get("fields"), structs, version, type);
                    byte[] body = encode(message, version);
                    byte[] name = entry.getKey().getBytes("UTF-8");
                    out.writeShort(name.length);
                    out.write(name);
                    out.writeShort(version);
                    out.writeInt(body.length);
                    out.write(body);
                }
            }
        }
        out.writeShort(0);
        out.flush();
    }

    static Object fill(Class<?> type, JsonNode fields, Map<String, JsonNode> structs, short version, Class<?> outer) throws Exception {
        Object object = type.getConstructor().newInstance();
        for (JsonNode field : fields) {
            JsonNode versions = field.has("versions") ? field.get("versions") : field.get("taggedVersions");
            boolean tagged = field.has("tag");
            if (!in(versions, version) || tagged && random.nextBoolean()) continue;
            Method setter = setter(type, field.get("name").asText());
            boolean isNull = field.has("nullableVersions") && in(field.get("nullableVersions"), version) && random.nextBoolean();
            setter.invoke(object, isNull ? null : value(field, field.get("type").asText(), setter.getParameterTypes()[0], structs, version, outer));
        }
        return object;
    }

    static Method setter(Class<?> type, String name) {
        String wanted = "set" + Character.toUpperCase(name.charAt(0)) + name.substring(1);
        for (Method method : type.getMethods()) if (method.getName().equals(wanted)) return method;
        throw new IllegalStateException(type + " has no " + wanted);
    }

    @SuppressWarnings("unchecked")
    static Object value(JsonNode field, String type, Class<?> parameter, Map<String, JsonNode> structs, short version, Class<?> outer) throws Exception {
        if (type.startsWith("[]")) {
            String element = type.substring(2);
            Collection<Object> all = parameter == List.class ? new ArrayList<>() : (Collection<Object>) parameter.getConstructor().newInstance();
            for (int i = random.nextInt(Character.isUpperCase(element.charAt(0)) ? 3 : 4); i > 0; i--)
                all.add(value(field, element, null, structs, version, outer));
            return all;
        }
        if (Character.isUpperCase(type.charAt(0))) {
            JsonNode fields = field.path("fields").size() > 0 ? field.get("fields") : structs.get(type);
            return fill(Class.forName(outer.getName() + "$" + type), fields, structs, version, outer);
        }
        return switch (type) {
            case "bool" -> random.nextBoolean();
            case "int8" -> (byte) number();
            case "int16" -> (short) number();
            case "int32" -> (int) number();
            case "int64" -> number();
            case "uint16" -> (int) (number() & 0xffff);
            case "uint32" -> number() & 0xffffffffL;
            case "float64" -> random.nextGaussian() * 1e6;
            case "uuid" -> new Uuid(random.nextLong(), random.nextLong());
            case "string" -> text();
            case "bytes" -> parameter == ByteBuffer.class ? ByteBuffer.wrap(bytes()) : bytes();
            case "records" -> MemoryRecords.readableRecords(ByteBuffer.wrap(bytes()));
            default -> throw new IllegalStateException(type);
        };
    }

    /** Small, extreme and arbitrary numbers: each finds other mistakes. */
    static long number() {
        return switch (random.nextInt(4)) {
            case 0 -> random.nextInt(100);
            case 1 -> new long[] {Long.MIN_VALUE, Long.MAX_VALUE, 0, -1}[random.nextInt(4)];
            default -> random.nextLong();
        };
    }

    static String text() {
        String[] letters = {"a", "Z", "0", ".", "-", "\u00e4", "\u20ac", "\ud83d\udc26"};
        StringBuilder text = new StringBuilder();
        for (int i = new int[] {0, 3, 12, 30, 200}[random.nextInt(5)]; i > 0; i--) text.append(letters[random.nextInt(letters.length)]);
        return text.toString();
    }

    static byte[] bytes() {
        byte[] bytes = new byte[random.nextInt(new int[] {1, 10, 300}[random.nextInt(3)])];
        random.nextBytes(bytes);
        return bytes;
    }

    static boolean in(JsonNode versions, short version) {
        if (versions.asText().equals("none")) return false;
        short[] range = range(versions.asText());
        return range[0] <= version && version <= range[1];
    }

    static short[] range(String text) {
        if (text.endsWith("+")) return new short[] {Short.parseShort(text.substring(0, text.length() - 1)), Short.MAX_VALUE - 1};
        String[] ends = text.split("-");
        return new short[] {Short.parseShort(ends[0]), Short.parseShort(ends[ends.length - 1])};
    }
}
