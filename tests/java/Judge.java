import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.*;
import java.util.*;
import javax.net.ssl.CertPathTrustManagerParameters;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/**
 * What this JVM's trust manager says of servers. Each line of stdin is a question: the certificates of a key store and
 * what the server sends (PEM files, the leaf first) and a time in milliseconds, parted by tabs; each line of stdout is
 * an answer: empty where the chain is accepted.
 */
public class Judge {
    static final Map<String, X509Certificate[]> READ = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        var questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var answers = new StringBuilder();
        for (String line; (line = questions.readLine()) != null; ) {
            String[] question = line.split("\t", -1);
            answers.append(answer(read(question[0]), read(question[1]), Long.parseLong(question[2]))).append('\n');
        }
        System.out.print(answers);
    }

    static X509Certificate[] read(String path) throws Exception {
        X509Certificate[] known = READ.get(path);
        if (known == null) {
            known = CertificateFactory.getInstance("X.509")
                .generateCertificates(new ByteArrayInputStream(Files.readAllBytes(Path.of(path))))
                .toArray(new X509Certificate[0]);
            READ.put(path, known);
        }
        return known;
    }

    /** As JSSE makes its trust manager of a key store (TrustManagerFactoryImpl), but for another time than now. */
    static String answer(X509Certificate[] anchors, X509Certificate[] sent, long at) throws Exception {
        if (anchors.length == 0) {
            return "no anchors";
        }
        KeyStore store = KeyStore.getInstance("JKS");
        store.load(null, null);
        for (int number = 0; number < anchors.length; number++) {
            store.setCertificateEntry("entry" + number, anchors[number]);
        }
        var parameters = new PKIXBuilderParameters(store, new X509CertSelector());
        parameters.setRevocationEnabled(false);
        parameters.setDate(new Date(at));
        var factory = TrustManagerFactory.getInstance("PKIX");
        factory.init(new CertPathTrustManagerParameters(parameters));
        try {
            ((X509TrustManager) factory.getTrustManagers()[0]).checkServerTrusted(sent, "UNKNOWN");
            return "";
        } catch (CertificateException problem) {
            return (problem.getClass().getSimpleName() + " " + problem.getMessage()).replaceAll("\\s+", " ");
        }
    }
}
