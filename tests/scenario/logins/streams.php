<?php
// streams.php bearer|basic URL: one request with file_get_contents, whose warnings are all that is seen of a refusal.
[, $way, $url] = $argv;
$token = getenv('API_TOKEN');
$authorization = $way === 'bearer' ? "Bearer $token" : 'Basic ' . base64_encode("octo:$token");
$said = file_get_contents($url, false, stream_context_create(['http' => ['header' => "Authorization: $authorization"]]));
if ($said === false)
    exit(1);
echo '200 ', trim($said), "\n";
