import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.util.Base64;

/**
 * Kafka's DumpLogSegments many times in one process, because a Java process for each file would take hours.
 *
 * Each line of input has the arguments of one call, tab separated. Each line of output has the exit code, and
 * in base64 what went to standard output and to standard error. An exception that nobody catches ends the call
 * with 1 and its first line, as the Java launcher does it, without the stack trace.
 */
class DumpLogs {
    static class Ended extends RuntimeException {
        final int code;

        Ended(int code) {
            this.code = code;
        }
    }

    /** Tools end through a class of Kafka's, which has moved between releases. */
    static void catchExits() throws Exception {
        Class<?> exit;
        try {
            exit = Class.forName("org.apache.kafka.common.utils.Exit");
        } catch (ClassNotFoundException moved) {
            exit = Class.forName("org.apache.kafka.common.utils.internals.Exit");
        }
        Class<?> procedure = Class.forName(exit.getName() + "$Procedure");
        Object ended = Proxy.newProxyInstance(procedure.getClassLoader(), new Class<?>[] {procedure}, (proxy, method, arguments) -> {
            throw new Ended((Integer) arguments[0]);
        });
        exit.getMethod("setExitProcedure", procedure).invoke(null, ended);
    }

    public static void main(String[] none) throws Exception {
        PrintStream answers = System.out;
        PrintStream errors = System.err;
        Method main = Class.forName("org.apache.kafka.tools.DumpLogSegments").getMethod("main", String[].class);
        catchExits();
        BufferedReader calls = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = calls.readLine(); line != null; line = calls.readLine()) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            System.setOut(new PrintStream(out, false, "UTF-8"));
            System.setErr(new PrintStream(err, false, "UTF-8"));
            int code = 0;
            try {
                main.invoke(null, (Object) (line.isEmpty() ? new String[0] : line.split("\t", -1)));
            } catch (InvocationTargetException thrown) {
                Throwable cause = thrown.getCause();
                if (cause instanceof Ended) {
                    code = ((Ended) cause).code;
                } else {
                    code = 1;
                    System.err.println("Exception in thread \"main\" " + cause);
                }
            }
            System.out.flush();
            System.err.flush();
            Base64.Encoder text = Base64.getEncoder();
            answers.println(code + "\t" + text.encodeToString(out.toByteArray()) + "\t" + text.encodeToString(err.toByteArray()));
            answers.flush();
        }
        System.setErr(errors);
    }
}
