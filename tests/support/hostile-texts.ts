/**
 * What would break out of an element, an attribute, a script, a comment, a template or a query where it is let. Whatever
 * runs sets `window.harmed`; whatever loads asks `elsewhere.invalid`.
 */
export const HOSTILE_TEXTS: readonly string[] = [
  '"><script>window.harmed=2</script>',
  "' autofocus onfocus='window.harmed=3",
  '" autofocus onfocus="window.harmed=4" x="',
  '</script><script>window.harmed=5</script>',
  '</textarea><svg onload=window.harmed=6>',
  '</title><svg/onload=window.harmed=7>',
  'javascript:window.harmed=8',
  "{{constructor.constructor('window.harmed=9')()}}",
  '`$\u007bwindow.harmed=10}`',
  '--><img src=x onerror=window.harmed=11><!--',
  '<iframe srcdoc="<script>parent.harmed=12</script>">',
  '<style>*{display:none}</style>',
  '<base href=//elsewhere.invalid>',
  '<meta http-equiv=refresh content="0;//elsewhere.invalid">',
  '&lt;script&gt; &amp;amp; %3Cscript%3E',
  "'; drop table seller; --",
  '$& $1 \\u003cscript\\u003e',
];
