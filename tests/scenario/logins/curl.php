<?php
// curl.php bearer|basic URL: one request with PHP's curl; it reads no variable, but curl.cainfo of php.ini.
[, $way, $url] = $argv;
$token = getenv('API_TOKEN');
$curl = curl_init($url);
curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
if ($way === 'bearer')
    curl_setopt($curl, CURLOPT_HTTPHEADER, ["Authorization: Bearer $token"]);
else
    curl_setopt($curl, CURLOPT_USERPWD, "octo:$token");
$said = curl_exec($curl);
if ($said === false) {
    echo curl_error($curl), "\n";
    exit(1);
}
$code = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
echo $code, ' ', trim($said), "\n";
exit($code === 200 ? 0 : 1);
