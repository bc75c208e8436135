import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Logs in (the first request offers h2c and has a body), subscribes, publishes, and prints the frame that comes of it. */
public class Subscriber {
    public static void main(String[] arguments) throws Exception {
        String host = arguments[0], token = arguments[1], prompt = arguments[2];
        HttpClient client = HttpClient.newHttpClient();
        System.out.println(post(client, host, token, "/api/login", "{\"token\": \"" + token + "\"}"));
        CountDownLatch heard = new CountDownLatch(1);
        WebSocket.Listener listener = new WebSocket.Listener() {
            private final StringBuilder text = new StringBuilder();

            @Override
            public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
                text.append(data);
                if (last) {
                    if (text.indexOf("prompt.published") >= 0) {
                        System.out.println(text);
                        heard.countDown();
                    }
                    text.setLength(0);
                }
                socket.request(1);
                return null;
            }
        };
        URI stream = URI.create("ws://" + host + "/ws?namespace=prod&client=java&token=" + token);
        WebSocket socket = client.newWebSocketBuilder().buildAsync(stream, listener).get(10, TimeUnit.SECONDS);
        post(client, host, token, "/api/prompts/publish", "{\"id\": \"" + prompt + "\"}");
        if (!heard.await(10, TimeUnit.SECONDS)) System.out.println("nothing came");
        socket.abort();
        System.exit(0);
    }

    private static int post(HttpClient client, String host, String token, String path, String body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + host + path))
            .header("Authorization", "Bearer " + token)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
        return client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode();
    }
}
