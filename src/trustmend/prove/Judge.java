import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
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
 * Whether this JVM's own trust manager accepts servers' certificates with given trust stores. Lines of stdin, their
 * parts parted by tabs:
 *
 *     time    milliseconds since 1970: for all that follows
 *     store   file, "-" or "+" and its password, "-" for the JVM's default type or the type: a key store
 *     pem     file: its certificates are the store
 *     chain   file of a certificate, and files of what its server sends after it: judged with the last store;
 *             a certificate without a file is "base64:" and its DER
 *
 * Each line `chain` is answered by one line: "trusted", or "untrusted: " and the JVM's words.
 */
public class Judge {
    static X509TrustManager manager;
    static String refused;
    static Date time = new Date();

    public static void main(String[] arguments) throws Exception {
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new PrintStream(System.out, true, "UTF-8");
        for (String line; (line = lines.readLine()) != null; ) {
            String[] parts = line.split("\t", -1);
            switch (parts[0]) {
                case "time": time = new Date(Long.parseLong(parts[1])); break;
                case "store": case "pem": open(parts); break;
                case "chain": out.println(judge(parts)); break;
                default: throw new IllegalArgumentException(parts[0]);
            }
        }
    }

    /** As JSSE takes a store: all that its trust manager accepts as issuers are anchors; revocation is not looked at. */
    static void open(String[] parts) {
        manager = null;
        try {
            var factory = TrustManagerFactory.getInstance("PKIX");
            factory.init(parts[0].equals("pem") ? pem(parts[1]) : load(parts[1], parts[2], parts[3]));
            var anchors = new HashSet<TrustAnchor>();
            for (X509Certificate issuer : ((X509TrustManager) factory.getTrustManagers()[0]).getAcceptedIssuers()) {
                anchors.add(new TrustAnchor(issuer, null));
            }
            if (anchors.isEmpty()) {
                refused = "untrusted: no anchors";
                return;
            }
            var parameters = new PKIXBuilderParameters(anchors, null);
            parameters.setRevocationEnabled(false);
            parameters.setDate(time);
            factory.init(new CertPathTrustManagerParameters(parameters));
            manager = (X509TrustManager) factory.getTrustManagers()[0];
        } catch (Exception | LinkageError problem) {
            refused = "untrusted: " + words(problem);
        }
    }

    /** As sun.security.ssl.TrustStoreManager does: without a password an integrity digest is not looked at. */
    static KeyStore load(String path, String password, String type) throws Exception {
        KeyStore store = KeyStore.getInstance(type.equals("-") ? KeyStore.getDefaultType() : type);
        try (InputStream stream = new FileInputStream(path)) {
            store.load(stream, password.startsWith("+") ? password.substring(1).toCharArray() : null);
        }
        return store;
    }

    static KeyStore pem(String path) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        int number = 0;
        for (Certificate one : certificates(path)) {
            store.setCertificateEntry("certificate-" + number++, one);
        }
        return store;
    }

    static String judge(String[] parts) throws Exception {
        if (manager == null) {
            return refused;
        }
        var chain = new ArrayList<Certificate>();
        for (int i = 1; i < parts.length; i++) {
            chain.addAll(certificates(parts[i]));
        }
        try {
            manager.checkServerTrusted(chain.toArray(new X509Certificate[0]), "UNKNOWN");
            return "trusted";
        } catch (CertificateException problem) {
            return "untrusted: " + words(problem);
        }
    }

    static Collection<? extends Certificate> certificates(String path) throws Exception {
        byte[] content = path.startsWith("base64:")
            ? Base64.getDecoder().decode(path.substring(7)) : Files.readAllBytes(Path.of(path));
        return CertificateFactory.getInstance("X.509").generateCertificates(new ByteArrayInputStream(content));
    }

    static String words(Throwable problem) {
        return (problem.getClass().getSimpleName() + " " + problem.getMessage()).replaceAll("\\s+", " ");
    }
}
