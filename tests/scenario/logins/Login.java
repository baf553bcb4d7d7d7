import java.net.Authenticator;
import java.net.PasswordAuthentication;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Login bearer|basic URL: one request with java.net.http.HttpClient; Basic by an Authenticator, which waits for a 401. */
class Login {
    public static void main(String[] arguments) throws Exception {
        String token = System.getenv("API_TOKEN");
        HttpClient.Builder client = HttpClient.newBuilder();
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(arguments[1]));

        if (arguments[0].equals("bearer"))
            request.header("authorization", "Bearer " + token);
        else
            client.authenticator(new Authenticator() {
                protected PasswordAuthentication getPasswordAuthentication() {
                    return new PasswordAuthentication("octo", token.toCharArray());
                }
            });
        HttpResponse<String> answer = client.build().send(request.build(), HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.body().strip());
        System.exit(answer.statusCode() == 200 ? 0 : 1);
    }
}
