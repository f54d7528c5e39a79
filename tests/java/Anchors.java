import java.io.ByteArrayInputStream;
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.*;
import java.util.*;
import javax.net.ssl.CertPathTrustManagerParameters;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/**
 * What this JVM makes of key stores. Each line of stdin is a question: store, type or "-" for the JVM's default one,
 * "-" or "+" and the password, time in milliseconds or "-", and a PEM file (or "-") with a leaf and what its server
 * sends; parted by tabs. Each line of stdout is an answer: "ok" or "error: ...", the SHA-256 of all accepted issuers
 * parted by commas, and "trusted" or "untrusted: ..." for the leaf; parted by tabs.
 */
public class Anchors {
    public static void main(String[] arguments) throws Exception {
        var questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new java.io.PrintStream(System.out, true, "UTF-8");
        for (String line; (line = questions.readLine()) != null; ) {
            out.println(answer(line.split("\t", -1)));
        }
    }

    static String answer(String[] question) {
        X509Certificate[] issuers;
        KeyStore store;
        try {
            store = load(question[0], question[1], question[2]);
            var factory = TrustManagerFactory.getInstance("PKIX");
            factory.init(store);
            issuers = ((X509TrustManager) factory.getTrustManagers()[0]).getAcceptedIssuers();
        } catch (Exception | LinkageError problem) {
            return "error: " + words(problem) + "\t\t";
        }
        try {
            var found = new TreeSet<String>();
            for (X509Certificate issuer : issuers) {
                found.add(sha256(issuer.getEncoded()));
            }
            String verdict = question[4].equals("-") ? "" : validate(issuers, question[4], question[3]);
            return "ok\t" + String.join(",", found) + "\t" + verdict;
        } catch (Exception problem) {
            return "error: " + words(problem) + "\t\t";
        }
    }

    /** As sun.security.ssl.TrustStoreManager loads javax.net.ssl.trustStore: type by default, no password by null. */
    static KeyStore load(String path, String type, String password) throws Exception {
        KeyStore store = KeyStore.getInstance(type.equals("-") ? KeyStore.getDefaultType() : type);
        try (InputStream stream = new FileInputStream(path)) {
            store.load(stream, password.startsWith("+") ? password.substring(1).toCharArray() : null);
        }
        return store;
    }

    /** What the JVM's own trust manager says of a TLS server: all accepted issuers are anchors, no revocation. */
    static String validate(X509Certificate[] issuers, String path, String time) throws Exception {
        if (issuers.length == 0) {
            return "untrusted: no anchors";
        }
        var sent = CertificateFactory.getInstance("X.509")
            .generateCertificates(new ByteArrayInputStream(Files.readAllBytes(Path.of(path))));
        var anchors = new HashSet<TrustAnchor>();
        for (X509Certificate issuer : issuers) {
            anchors.add(new TrustAnchor(issuer, null));
        }
        var parameters = new PKIXBuilderParameters(anchors, null);
        parameters.setRevocationEnabled(false);
        if (!time.equals("-")) {
            parameters.setDate(new Date(Long.parseLong(time)));
        }
        var factory = TrustManagerFactory.getInstance("PKIX");
        factory.init(new CertPathTrustManagerParameters(parameters));
        try {
            ((X509TrustManager) factory.getTrustManagers()[0])
                .checkServerTrusted(sent.toArray(new X509Certificate[0]), "UNKNOWN");
            return "trusted";
        } catch (CertificateException problem) {
            return "untrusted: " + words(problem);
        }
    }

    static String words(Throwable problem) {
        return (problem.getClass().getSimpleName() + " " + problem.getMessage()).replaceAll("\\s+", " ");
    }

    static String sha256(byte[] encoded) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(encoded));
    }
}
