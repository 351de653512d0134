// A client as one writes it in Java: one conversation over TLS, half-closed, then read to its end.
// java Client.java PORT CA-FILE
import java.io.FileInputStream;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public class Client {
    public static void main(String[] arguments) throws Exception {
        KeyStore known = KeyStore.getInstance(KeyStore.getDefaultType());
        known.load(null, null);
        try (FileInputStream file = new FileInputStream(arguments[1])) {
            known.setCertificateEntry(
                    "ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust =
                TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(known);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        int port = Integer.parseInt(arguments[0]);
        try (SSLSocket socket =
                (SSLSocket) context.getSocketFactory().createSocket("127.0.0.1", port)) {
            for (String said : new String[] {"mañana\n", "half a line"}) {
                socket.getOutputStream().write(said.getBytes(StandardCharsets.UTF_8));
            }
            socket.shutdownOutput(); // close_notify; what comes back is still read
            System.out.write(socket.getInputStream().readAllBytes());
            System.out.println(" " + socket.getSession().getProtocol());
        }
    }
}
