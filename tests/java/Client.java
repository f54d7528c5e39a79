import java.net.URL;
import java.security.cert.CertPathBuilderException;
import java.security.cert.CertPathValidatorException;
import javax.net.ssl.HttpsURLConnection;

/**
 * Asks one HTTPS address with this JVM's default trust store. Ends with 0 after any answer, with 60 where the server's
 * chain was refused, and with an exception's 1 where something else went wrong. Written for Java 8.
 */
public class Client {
    public static void main(String[] arguments) throws Exception {
        try {
            ((HttpsURLConnection) new URL(arguments[0]).openConnection()).getResponseCode();
        } catch (Exception problem) {
            for (Throwable cause = problem; cause != null; cause = cause.getCause()) {
                if (cause instanceof CertPathBuilderException || cause instanceof CertPathValidatorException) {
                    System.err.println("refused: " + problem);
                    System.exit(60);
                }
            }
            throw problem;
        }
    }
}
